'use strict';

// What the scenario knows of its surroundings, and how to wait.

const fs = require('fs');
const http = require('http');

/** `values.json`: the types to create, and the values with their CQL types, literals and texts. */
const values = JSON.parse(fs.readFileSync(process.env.DRIVERS_VALUES, 'utf8'));
const nodes = process.env.DRIVERS_NODES.split(',');
const dataCenter = process.env.DRIVERS_DC;
const skip = (process.env.DRIVERS_SKIP || '').split(',');

/** Ends a step with this text unless the condition holds. */
function check(condition, text) {
  if (!condition) {
    throw new Error(text);
  }
}

/** Asks the control for `kill` or `start` of a node, counted from 1. */
function control(verb, node) {
  return new Promise((resolve, reject) => {
    http.get(`http://${process.env.DRIVERS_CONTROL}/${verb}/${node}`, (answer) => {
      let body = '';
      answer.on('data', (part) => (body += part));
      answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${verb} of node ${node}: ${body}`))));
    }).on('error', reject);
  });
}

/** Looks again until it is so, or the time is over. */
async function until(what, seconds, look) {
  const deadline = Date.now() + seconds * 1000;
  while (!(await look())) {
    check(Date.now() < deadline, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

module.exports = { values, nodes, dataCenter, skip, check, control, until };
