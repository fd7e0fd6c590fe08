import Image from 'next/image';
import {photos} from '../lib/images.mjs';
import Upload from './Upload.jsx';

export const dynamic = 'force-dynamic'; // the list changes with each upload

export default async function Page() {
  const found = await photos();
  return (
    <main>
      <h1>Photos</h1>
      <Upload />
      <ul>
        {found.map(({id, key, width, height}, index) => (
          <li key={id}>
            <Image
              src={key}
              width={width}
              height={height}
              sizes="(min-width: 40rem) 20rem, 100vw"
              preload={index === 0}
              alt={`Photo ${found.length - index}`}
            />
          </li>
        ))}
      </ul>
    </main>
  );
}
