// Sends each chosen file straight to the storage with a form of our server, and shows its renditions.
const PAUSE = 500; // milliseconds between two questions
const list = document.querySelector('#photos');

document.querySelector('#files').addEventListener('change', (event) => {
  for (const file of event.target.files) upload(file);
  event.target.value = '';
});

async function upload(file) {
  const item = document.createElement('li');
  const status = document.createElement('p');
  const bar = document.createElement('progress');
  bar.setAttribute('aria-label', file.name);
  item.append(status, bar);
  list.prepend(item);
  status.textContent = `${file.name}: uploading`;
  try {
    const form = await ask('/upload-forms', {type: file.type, bytes: file.size});
    await send(form, file, (fraction) => (bar.value = fraction));
    status.textContent = `${file.name}: processing`;
    bar.removeAttribute('value');
    item.append(picture(await processed(form.id), file.name));
    status.textContent = `${file.name}: ready`;
  } catch (error) {
    status.textContent = `${file.name}: ${error.message}`;
    item.className = 'failed';
  }
  bar.remove();
}

// The JSON that our server answers.
async function ask(path, body) {
  const options = body && {method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(body)};
  const response = await fetch(path, options);
  const result = await response.json();
  if (!response.ok) throw new Error(result.message);
  return result;
}

// XMLHttpRequest, because fetch() does not report how far an upload is.
function send({url, fields}, file, report) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append('file', file); // S3 ignores what follows the file
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.upload.onprogress = ({loaded, total}) => report(loaded / total);
    request.onload = () => (request.status < 300 ? resolve() : reject(new Error(`refused (${request.status})`)));
    request.onerror = () => reject(new Error('the connection failed'));
    request.send(body);
  });
}

async function processed(id) {
  for (;;) {
    const photo = await ask(`/photos/${id}`);
    if (photo.status === 'refused') throw new Error(photo.message);
    if (photo.status === 'processed') return photo.renditions;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

// All formats and widths: the browser takes what it shows and needs.
function picture(renditions, name) {
  const shown = document.createElement('picture');
  const of = (format) => renditions.filter((rendition) => rendition.format === format);
  const source = document.createElement('source');
  source.type = 'image/avif';
  source.srcset = srcset(of('avif'));
  source.sizes = '20rem';
  const [{src, width, height}] = of('jpeg');
  const image = document.createElement('img');
  Object.assign(image, {sizes: '20rem', srcset: srcset(of('jpeg')), src, width, height, alt: name});
  shown.append(source, image);
  return shown;
}

function srcset(renditions) {
  return renditions.map(({src, width}) => `${src} ${width}w`).join(', ');
}
