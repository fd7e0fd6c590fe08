// The function with a table: makes the renditions, then writes one item to DynamoDB.
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { randomUUID } from 'node:crypto'
import { makeRenditions, uploadsIn } from './renditions.js'

const dynamodb = new DynamoDBClient({})

export async function handler (event) {
  for (const upload of uploadsIn(event)) {
    const keys = await makeRenditions(upload)
    await dynamodb.send(new PutItemCommand({
      TableName: process.env.TABLE,
      Item: {
        id: { S: randomUUID() },
        original_file: { S: upload.Key },
        processed_file: { S: keys[0] },
        created_at: { S: new Date().toISOString() }
      }
    }))
  }
  return { batchItemFailures: [] }
}
