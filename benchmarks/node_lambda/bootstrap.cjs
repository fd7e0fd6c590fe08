// A client of the Lambda Runtime API (2018-06-01) with nothing in it that could take time.
// AWS's own, aws-lambda-ric, compiles libcurl when it is installed, which few machines can; it
// does more than this one, so this one is, if anything, quicker.
const http = require('node:http')

const root = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`
const agent = new http.Agent({ keepAlive: true })

function call (method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(root + path, { method, agent }, (response) => {
      const chunks = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function serve () {
  const { handler } = require(process.argv[2])
  for (;;) {
    const { headers, body } = await call('GET', 'next')
    const id = headers['lambda-runtime-aws-request-id']
    try {
      await call('POST', `${id}/response`, JSON.stringify(await handler(JSON.parse(body))))
    } catch (error) {
      await call('POST', `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }))
    }
  }
}

serve()
