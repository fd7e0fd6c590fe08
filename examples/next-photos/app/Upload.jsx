'use client';

import {useRouter} from 'next/navigation';
import {useState} from 'react';

const PAUSE = 500; // milliseconds between two questions

async function answer(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.message);
  return body;
}

async function upload(file, report) {
  report('uploading');
  const form = await answer(
    await fetch('/upload-forms', {
      method: 'POST',
      headers: {'content-type': 'application/json'},
      body: JSON.stringify({type: file.type, bytes: file.size}),
    }),
  );
  const body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append('file', file); // S3 ignores what follows the file
  const stored = await fetch(form.url, {method: 'POST', body});
  if (!stored.ok) throw new Error(`refused (${stored.status})`);
  report('processing');
  for (;;) {
    const {status, message} = await answer(await fetch(`/upload-forms?id=${form.id}`));
    if (status === 'refused') throw new Error(message);
    if (status === 'processed') return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

export default function Upload() {
  const router = useRouter();
  const [status, setStatus] = useState('');
  async function add(event) {
    const [file] = event.target.files;
    try {
      await upload(file, setStatus);
      setStatus('ready');
      router.refresh();
    } catch (error) {
      setStatus(error.message);
    }
    event.target.value = '';
  }
  return (
    <form>
      <label htmlFor="file">Add a photo, up to 10 MB</label>
      <input id="file" type="file" accept="image/jpeg,image/png,image/webp,image/avif" onChange={add} />
      <p role="status">{status}</p>
    </form>
  );
}
