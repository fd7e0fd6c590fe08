// Runs Lighthouse on pages and prints its score of performance and what it says about images:
//
//     node audit.mjs http://127.0.0.1:8080/before.html http://127.0.0.1:8080/
//
// Exits with 1 if the last page fails one of the audits. CHROME_PATH is the browser's program.
import * as launcher from 'chrome-launcher';
import lighthouse from 'lighthouse';

const AUDITS = {
  'uses-responsive-images': 'Properly sized',
  'modern-image-formats': 'Next-generation formats',
  'uses-optimized-images': 'Efficiently encoded',
  'offscreen-images': 'Offscreen ones deferred',
  'unsized-images': 'Explicit width and height',
  'image-size-responsive': 'Sharp enough',
  'image-aspect-ratio': 'Right proportions',
  'prioritize-lcp-image': 'Largest one preloaded',
  'cumulative-layout-shift': 'No layout shift',
};
const CATEGORIES = ['performance', 'best-practices', 'accessibility'];

const chrome = await launcher.launch({chromeFlags: ['--headless=new', '--no-sandbox', '--disable-gpu']});
let failed = [];
try {
  for (const url of process.argv.slice(2)) {
    const {lhr} = await lighthouse(url, {port: chrome.port, logLevel: 'error', onlyCategories: CATEGORIES});
    if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
    console.log(url);
    for (const {title, score} of Object.values(lhr.categories)) console.log(`  ${Math.round(100 * score)} ${title}`);
    failed = [];
    for (const [id, title] of Object.entries(AUDITS)) {
      const {score, displayValue = ''} = lhr.audits[id];
      const passed = score === null || score >= 0.9;
      if (!passed) failed.push(id);
      console.log(`  ${passed ? 'pass' : 'FAIL'} ${title} ${displayValue}`.trimEnd());
    }
    const {items} = lhr.audits['resource-summary'].details;
    const {transferSize} = items.find(({resourceType}) => resourceType === 'image');
    console.log(`  ${Math.round(transferSize / 1000)} kB of images`);
  }
} finally {
  await chrome.kill();
}
process.exit(failed.length ? 1 : 0);
