import {picture, renditions} from './renditions.mjs';

export default function (eleventy) {
  let photos;
  eleventy.on('eleventy.before', () => {
    photos = renditions('_site/photos');
  });
  // {% photo "cat", "A cat on a wall" %}
  eleventy.addShortcode('photo', (name, alt, sizes) => {
    const list = photos.get(name);
    if (!list) throw new Error(`expected one of ${[...photos.keys()].join(', ')}, got ${name}`);
    if (alt === undefined) throw new Error(`expected what the photo ${name} shows, got nothing`);
    return picture(list, '/photos/', {alt, sizes});
  });
  eleventy.addGlobalData('photos', () => [...photos.keys()].sort());
  return {dir: {input: 'pages', output: '_site'}};
}
