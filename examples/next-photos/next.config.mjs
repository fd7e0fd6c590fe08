const HEADERS = [
  {key: 'X-Content-Type-Options', value: 'nosniff'},
  {key: 'Referrer-Policy', value: 'same-origin'},
  {key: 'X-Frame-Options', value: 'DENY'},
];

export default {
  images: {
    loader: 'custom',
    loaderFile: './image-loader.mjs',
    // Those of recipe.toml: a URL without a signature opens what a public preset declares, and nothing else.
    imageSizes: [320],
    deviceSizes: [640, 960, 1280],
  },
  poweredByHeader: false,
  headers: async () => [{source: '/:path*', headers: HEADERS}],
};
