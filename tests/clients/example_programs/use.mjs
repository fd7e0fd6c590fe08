// Lists the photos and their properties with the library for Astro.
const { imageProps, listImages } = await import(`${process.env.EXAMPLES}/astro/src/lib/images.js`);

const images = await listImages("photos/");
console.log(JSON.stringify(images.map((image) => [image.original, imageProps(image, [64, 16, 999])])));
