// One article and an actor that it tells of: in, published, read back, and followed on the wire.
//
//     node example.js [HOST:PORT]
//
// Safe to run again: a second run finds what is there.
'use strict';

const { randomUUID } = require('node:crypto');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { reason, violations } = require('./errors');

const ARTICLE = 'articles/node-example';
const ACTOR = 'actors/node-example-port-authority';
// Every call gets a deadline. Watch has none: a stream is meant to stay.
const SECONDS = 30;

// UNAVAILABLE means "try again", and gRPC can do so by itself. A write is sent again with the same requestId,
// so it happens once however often it is sent.
const RETRIES = JSON.stringify({
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: '0.2s',
        maxBackoff: '2s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

// The schemas as they are: nothing is generated. They import buf/validate, which is in third_party.
function loadSchemas() {
  const root = path.join(__dirname, '..', '..');
  const schemas = ['record_service', 'editorial_service', 'feed_service'];
  const definition = protoLoader.loadSync(
    schemas.map((schema) => `dateline/v1/${schema}.proto`),
    {
      includeDirs: [path.join(root, 'proto'), path.join(root, 'third_party')],
      // Numbers of 64 bits are strings, as in JSON: JavaScript's own end at 2^53.
      longs: String,
      enums: String,
      oneofs: true,
      arrays: true,
    },
  );
  return grpc.loadPackageDefinition(definition).dateline.v1;
}

// Calls a unary method of a client.
function call(client, method, request) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + SECONDS * 1000 };
    client[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function article() {
  return {
    name: ARTICLE,
    headline: 'Sandvik Harbour Reopens After Storm',
    // Quotes refer to the text in NFC.
    body: (
      'SANDVIK - The Sandvik Port Authority reopened the harbour on Monday, two days after the storm.\n\n' +
      '“Every berth is in use again,” it said.'
    ).normalize('NFC'),
    languageCode: 'en',
    sources: [{ displayName: 'Sandvik Port Authority', actor: ACTOR }],
  };
}

// Offsets count code points. JavaScript's strings count UTF-16 units, which is not the same once a character
// lies beyond U+FFFF.
const codePoints = (text) => [...text].length;

function quote(part, text, exact) {
  const start = codePoints(text.slice(0, text.indexOf(exact)));
  return { part, start, end: start + codePoints(exact), exact };
}

// The actor, with the words of the article that say so: nothing is published without its source.
function actor() {
  const name = 'Sandvik Port Authority';
  return {
    name: ACTOR,
    type: 'TYPE_GOVERNMENT_BODY',
    displayName: name,
    names: [{ text: name, languageCode: 'en', type: 'TYPE_FULL' }],
    evidence: [
      {
        article: ARTICLE,
        articleRevision: 1,
        quote: quote('PART_BODY', article().body, name),
        supports: ['names'],
        modality: 'MODALITY_ASSERTED',
      },
    ],
  };
}

// The article, actor, relation or event in a Record.
const bodyOf = (record) => record[record.kind];

// Makes drafts of the records that are not there yet, all of them or none.
async function createWhatIsMissing(records, editorial) {
  const wanted = { [ARTICLE]: { article: article() }, [ACTOR]: { actor: actor() } };
  const names = Object.keys(wanted);
  const there = await call(records, 'batchGetRecords', { names, view: 'VIEW_DESK' });
  let created = [];
  if (there.missing.length > 0) {
    const writes = there.missing.map((name) => ({ create: { record: wanted[name] } }));
    created = (await call(editorial, 'commit', { writes, requestId: randomUUID() })).records;
  }
  console.log(`created ${created.length}, found ${there.records.length}`);
  return [...there.records, ...created].map(bodyOf);
}

// Publishes as one batch what is a draft. The etag says which revision was looked at.
async function publishDrafts(editorial, bodies) {
  const drafts = bodies
    .filter((body) => body.meta.state === 'STATE_DRAFT')
    .map((body) => ({ name: body.name, etag: body.meta.etag }));
  if (drafts.length > 0) {
    await call(editorial, 'publishRecords', { records: drafts, requestId: randomUUID() });
  }
  console.log(`published ${drafts.length}`);
}

// Reads as the public does, and finds the quote where the evidence says that it is.
async function readBack(records) {
  const { actor: read } = (await call(records, 'getRecord', { name: ACTOR })).record;
  const { start, end } = read.evidence[0].quote;
  const { article: source } = (await call(records, 'getRecord', { name: read.evidence[0].article })).record;
  const said = [...source.body].slice(start, end).join('');
  console.log(`read ${read.name}: ${read.displayName}`);
  console.log(`  says ${source.name}, code points ${start} to ${end}: ${said}`);
}

// Every error has one reason to act on, and a bad record every violation.
async function makeAMistake(records) {
  const record = { actor: { name: ACTOR, regionCode: 'Norway' } };
  try {
    await call(records, 'createRecord', { record, validateOnly: true });
  } catch (error) {
    console.log(`refused: ${grpc.status[error.code]} ${reason(error)}`);
    for (const { field, description } of violations(error)) console.log(`  ${field}: ${description}`);
  }
}

// Responses of the wire that name our actor, for ever: from the beginning, or right after a cursor.
//
// Connects again from the last cursor when the server goes away. A consumer that stores the cursor together
// with the effects of the changes takes in each change once.
async function* follow(feed, cursor) {
  for (;;) {
    const start = cursor ? { cursor } : { origin: 'ORIGIN_BEGINNING' };
    const stream = feed.watch({ filter: { actors: [ACTOR] }, ...start });
    try {
      for await (const response of stream) {
        ({ cursor } = response);
        yield response;
      }
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
      await sleep(1000);
    } finally {
      stream.cancel();
    }
  }
}

async function watch(feed) {
  const missing = new Set([ARTICLE, ACTOR]);
  let cursor;
  for await (const response of follow(feed)) {
    for (const change of response.changes) {
      console.log(`wire: ${change.type} ${change.name}`);
      missing.delete(change.name);
    }
    ({ cursor } = response);
    if (missing.size === 0) break;
  }
  // As if we had been away. The first response of a stream says where it stands.
  for await (const first of follow(feed, cursor)) {
    const twice = first.changes.length;
    console.log(`resumed after sequence ${first.checkpoint.sequence}, ${twice} changes came twice`);
    break;
  }
}

async function main() {
  const server = process.argv[2] ?? process.env.DATELINE_SERVER ?? '127.0.0.1:7400';
  const schemas = loadSchemas();
  const connect = (service) =>
    new schemas[service](server, grpc.credentials.createInsecure(), { 'grpc.service_config': RETRIES });
  const [records, editorial, feed] = ['RecordService', 'EditorialService', 'FeedService'].map(connect);
  try {
    await publishDrafts(editorial, await createWhatIsMissing(records, editorial));
    await readBack(records);
    await makeAMistake(records);
    await watch(feed);
  } catch (error) {
    if (error.code === undefined) throw error;
    console.error(`${grpc.status[error.code]} ${reason(error)}: ${error.details}`);
    process.exitCode = 1;
  } finally {
    for (const client of [records, editorial, feed]) client.close();
  }
}

main();
