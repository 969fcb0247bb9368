'use strict';

// A value of the driver as the text that `values.json` has for it.

const { types } = require('cassandra-driver');

const codes = types.dataTypes;
const day = 24 * 60 * 60 * 1000;

function between(open, parts, close) {
  return open + parts.join(', ') + close;
}

/** The text of a value of this type, as the result's columns describe it. */
function text(value, type) {
  if (value === null || value === undefined) {
    return 'null';
  }
  // Version 4 of the protocol has no code for it, nor for a vector: both come as types of Cassandra's own name.
  if (value instanceof types.Duration) {
    return `${value.months}mo${value.days}d${value.nanoseconds}ns`;
  }
  if (value instanceof types.Vector) {
    return between('[', Array.from(value, String), ']');
  }
  switch (type.code) {
    case codes.blob:
      return '0x' + value.toString('hex');
    case codes.date:
      return String(value.date.getTime() / day);
    case codes.time:
      return nanoseconds(value);
    case codes.timestamp:
      return String(value.getTime());
    case codes.list:
      return between('[', value.map((item) => text(item, type.info)), ']');
    case codes.set:
      return between('{', Array.from(value, (item) => text(item, type.info)), '}');
    case codes.map:
      return between('{', Array.from(value, ([key, item]) => `${text(key, type.info[0])}: ${text(item, type.info[1])}`), '}');
    case codes.tuple:
      return between('(', type.info.map((item, index) => text(value.get(index), item)), ')');
    case codes.udt:
      return between('{', type.info.fields.map((field) => `${field.name}: ${text(value[field.name], field.type)}`), '}');
    default:
      return String(value);
  }
}

function nanoseconds(time) {
  const seconds = (time.hour * 60 + time.minute) * 60 + time.second;
  return types.Long.fromNumber(seconds).multiply(1000000000).add(time.nanosecond).toString();
}

module.exports = { text };
