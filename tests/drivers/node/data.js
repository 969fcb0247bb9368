'use strict';

// The steps about data: schema, types, prepared statements, batches, pages, errors.

const { types } = require('cassandra-driver');
const { check, values } = require('./world');
const { text } = require('./values');

const keyspace = 'd_node';
const rows = 100000;
const rowsOfPartition = 1000;
const rowsOfBatch = 100;
const page = 4999;
const prepared = { prepare: true };

/** What the driver cannot write as it read it, with the reason; the step says so. */
const unwritable = new Map([
  ["frozen<map<text, frozen<set<int>>>> {'none': {}}", 'the driver writes an empty set as null'],
  ['frozen<list<text>> []', 'the driver writes an empty list as null'],
]);
/** What the driver cannot read. */
const unreadable = new Map([]);

/** A schema that all nodes agree on, and that the driver knows. */
async function schema(client) {
  const columns = values.values.map((value, index) => `v${index} ${value.type}`).join(', ');
  const statements = [
    `DROP KEYSPACE IF EXISTS ${keyspace}`,
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}`,
    `USE ${keyspace}`,
    ...values.types,
    `CREATE TABLE every_type (id int PRIMARY KEY, ${columns})`,
    'CREATE TABLE altered (k int PRIMARY KEY, v int)',
    'CREATE TABLE batched (p int, c int, v text, PRIMARY KEY (p, c))',
    'CREATE TABLE paged (p int, c int, PRIMARY KEY (p, c))',
  ];
  for (const statement of statements) {
    const result = await client.execute(statement);
    check(result.info.isSchemaInAgreement, `no agreement after '${statement}'`);
  }
  check(await client.metadata.checkSchemaAgreement(), 'the nodes have different schemas');
  const table = await client.metadata.getTable(keyspace, 'batched');
  const names = (key) => key.map((column) => column.name).join();
  check(names(table.partitionKeys) === 'p' && names(table.clusteringKeys) === 'c', 'another primary key');
  const person = await client.metadata.getUdt(keyspace, 'person');
  check(person.fields.map((field) => field.name).join() === 'name,home', 'another type');
}

/** Every value goes in as a literal, comes out, goes in as the driver's own value, and comes out the same. */
async function everyType(client) {
  const named = values.values.map((value, index) => ({ ...value, name: `v${index}` }));
  const readable = without(named, unreadable, 'not read');
  const names = readable.map((value) => value.name).join(', ');
  const literals = readable.map((value) => value.literal).join(', ');
  await client.execute(`INSERT INTO every_type (id, ${names}) VALUES (1, ${literals})`);
  const row = await readValues(client, 1, readable);
  const writable = without(readable, unwritable, 'not written');
  const insert = `INSERT INTO every_type (id, ${writable.map((value) => value.name).join(', ')})`;
  const bound = [2, ...writable.map((value) => row.get(value.name))];
  await client.execute(`${insert} VALUES (${bound.map(() => '?').join(', ')})`, bound, prepared);
  await readValues(client, 2, writable);
}

function without(list, reasons, what) {
  return list.filter((value) => {
    const reason = reasons.get(`${value.type} ${value.literal}`);
    if (reason) {
      console.log(`node: ${value.type} ${value.literal} is ${what}: ${reason}`);
    }
    return !reason;
  });
}

async function readValues(client, id, wanted) {
  const names = wanted.map((value) => value.name).join(', ');
  const result = await client.execute(`SELECT ${names} FROM every_type WHERE id = ?`, [id], prepared);
  const row = result.first();
  wanted.forEach((value, index) => {
    const found = text(row.get(value.name), result.columns[index].type);
    // The driver has no notion of a number of no bytes.
    const accepted = value.text === 'empty' ? ['empty', 'null'] : [value.text];
    check(accepted.includes(found), `row ${id}: ${value.type} ${value.literal} came as ${found}, not ${value.text}`);
  });
  return row;
}

/** A prepared statement outlives a new column, and sees it. */
async function preparedStatements(client) {
  const insert = 'INSERT INTO altered (k, v) VALUES (?, ?)';
  const select = 'SELECT * FROM altered WHERE k = ?';
  const read = async (key) => {
    const row = (await client.execute(select, [key], prepared)).first();
    return JSON.stringify(row.keys().map((name) => [name, row.get(name)]));
  };
  await client.execute(insert, [1, 2], prepared);
  check(await read(1) === '[["k",1],["v",2]]', `before: ${await read(1)}`);
  await client.execute('ALTER TABLE altered ADD w text');
  await client.execute("UPDATE altered SET w = 'new' WHERE k = 1");
  await client.execute(insert, [2, 3], prepared);
  for (let time = 0; time < 6; time++) {
    const row = await read(1);
    check(row === '[["k",1],["v",2],["w","new"]]', `after: ${row}`);
  }
  check(await read(2) === '[["k",2],["v",3],["w",null]]', `the other row: ${await read(2)}`);
}

/** Unlogged batches of prepared and plain statements, over several partitions, with a timestamp. */
async function batches(client) {
  const query = 'INSERT INTO batched (p, c, v) VALUES (?, ?, ?)';
  const queries = [...Array(20).keys()].map((number) => ({ query, params: [number % 4, number, `row ${number}`] }));
  await client.batch(queries, { prepare: true, logged: false, timestamp: types.Long.fromNumber(1234567) });
  await client.batch([
    "INSERT INTO batched (p, c, v) VALUES (1, 100, 'plain')",
    'DELETE FROM batched WHERE p = 1 AND c = 1',
  ], { logged: false });
  const result = await client.execute('SELECT c, v, writetime(v) AS written FROM batched WHERE p = 1');
  const found = result.rows.map((row) => `${row.c} ${row.v}`).join(', ');
  check(found === '5 row 5, 9 row 9, 13 row 13, 17 row 17, 100 plain', `partition 1 holds ${found}`);
  check(result.first().written.toString() === '1234567', `the batch's timestamp became ${result.first().written}`);
}

/** A hundred thousand rows come page by page, each once. */
async function paging(client) {
  const query = 'INSERT INTO paged (p, c) VALUES (?, ?)';
  let next = 0;
  const writer = async () => {
    while (next < rows) {
      const first = next;
      next += rowsOfBatch;
      const queries = [];
      for (let row = first; row < first + rowsOfBatch; row++) {
        queries.push({ query, params: [Math.floor(row / rowsOfPartition), row] });
      }
      await client.batch(queries, { prepare: true, logged: false });
    }
  };
  await Promise.all([...Array(8)].map(writer));
  const seen = new Uint32Array(rows);
  let result = null;
  let pages = 0;
  do {
    const options = { prepare: true, fetchSize: page, pageState: result ? result.pageState : undefined };
    result = await client.execute('SELECT p, c FROM paged', [], options);
    for (const row of result.rows) {
      check(row.c >= 0 && row.c < rows && row.p === Math.floor(row.c / rowsOfPartition), `row ${row.c} in partition ${row.p}`);
      seen[row.c]++;
    }
    pages++;
  } while (result.pageState);
  const skipped = seen.filter((times) => times === 0).length;
  const repeated = seen.filter((times) => times > 1).length;
  check(skipped === 0 && repeated === 0, `${skipped} rows skipped, ${repeated} repeated`);
  check(pages > rows / page, `${rows} rows came in ${pages} pages of ${page}`);
}

/** Errors arrive as what they are. */
async function errors(client) {
  const codes = types.responseErrorCodes;
  await refused(client, 'SELEC 1', codes.syntaxError);
  await refused(client, 'SELECT * FROM no_such_table', codes.invalid);
  await client.execute('DROP KEYSPACE IF EXISTS d_node_far');
  await client.execute("CREATE KEYSPACE d_node_far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 5}");
  await client.execute('CREATE TABLE d_node_far.t (k int PRIMARY KEY)');
  await refused(client, 'CREATE TABLE d_node_far.t (k int PRIMARY KEY)', codes.alreadyExists);
  const all = { consistency: types.consistencies.all };
  const error = await refused(client, 'INSERT INTO d_node_far.t (k) VALUES (1)', codes.unavailableException, all);
  check(error.required === 5 && error.alive === 3, `${error.required} required, ${error.alive} alive`);
}

async function refused(client, statement, code, options) {
  try {
    await client.execute(statement, [], options);
  } catch (error) {
    check(error.code === code, `'${statement}' failed with ${error.code}, not ${code}: ${error.message}`);
    return error;
  }
  throw new Error(`'${statement}' succeeded`);
}

module.exports = { schema, everyType, preparedStatements, batches, paging, errors };
