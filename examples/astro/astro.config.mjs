// A static site: pages are made once, so the signing key stays where they are built.
export default {};
