// Signs the vectors with the library for Astro.
const { imageUrl } = await import(`${process.env.EXAMPLES}/astro/src/lib/images.js`);

const urls = JSON.parse(process.env.VECTORS).map(({ key, parameters, expires, base, signing_key: signingKey }) =>
  imageUrl(key, parameters, { expires, base, signingKey }),
);
console.log(JSON.stringify(urls));
