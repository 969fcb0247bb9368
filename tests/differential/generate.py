"""Statements that a seed makes: the same seed gives the same statements, on any machine.

They begin by making their own keyspace `g`, write with timestamps of their own, and mix what is right with what is
nearly right: literals of every type, restrictions of every shape, functions and arithmetic over every pair of types,
edits of collections, groups, pages and schemas.
"""

import random

NATIVE = (
    "ascii bigint blob boolean date decimal double duration float inet int smallint text time timestamp timeuuid"
    " tinyint uuid varint"
).split()
COLLECTIONS = [
    "list<int>", "set<text>", "map<text, int>", "frozen<list<text>>", "frozen<set<int>>", "frozen<map<int, text>>",
    "tuple<int, text>", "vector<float, 3>", "pair", "frozen<pair>", "list<frozen<pair>>", "map<int, frozen<set<int>>>",
]
# What is written as a literal, right and wrong, for the types that take it.
LITERALS = {
    "ascii": ["'abc'", "''", "'é'", "$$x$$", "'it''s'"],
    "text": ["'abc'", "''", "'é'", "$$a'b$$", "'long ' "],
    "bigint": ["0", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808"],
    "int": ["0", "1", "-7", "2147483647", "2147483648", "-2147483648", "007"],
    "smallint": ["5", "-32768", "32767", "32768"],
    "tinyint": ["5", "-128", "127", "128"],
    "varint": ["0", "-1", "123456789012345678901234567890", "-0", "128"],
    "blob": ["0x", "0x00ff", "0xABCD", "0xabc", "'ab'"],
    "boolean": ["true", "false", "TRUE", "'true'", "1"],
    "date": ["'2024-02-29'", "'1970-01-01'", "'2024-02-30'", "'-0001-01-01'", "0", "2147483648", "4294967296", "'x'"],
    "decimal": ["0", "1.5", "-0.001", "1e10", "1E-5", "123456789.123456789", "NaN"],
    "double": ["0", "1.5", "-1e300", "NaN", "Infinity", "-Infinity", "1e400", "-0.0"],
    "float": ["0", "1.5", "3.4e38", "1e39", "NaN", "-NaN"],
    "duration": ["1y2mo", "3d4h", "1ms", "-1us", "P1Y2M", "PT3S", "1h-", "2w", "P3W", "P0001-02-03T04:05:06"],
    "inet": ["'127.0.0.1'", "'::1'", "'256.0.0.1'", "'fe80::1'", "'1.2.3'"],
    "time": ["'12:34:56'", "'23:59:59.999999999'", "'24:00:00'", "0", "86399999999999", "86400000000000"],
    "timestamp": [
        "0", "-1", "'2024-02-29'", "'2024-02-29 12:34'", "'2024-02-29T12:34:56.789Z'", "'2024-02-29 12:34:56+0130'",
        "'2024-13-01'", "1e3", "'0000-01-01'",
    ],
    "timeuuid": ["50554d6e-29bb-11e5-b345-feff819cdc9f", "5a54d6e0-29bb-41e5-b345-feff819cdc9f", "'x'"],
    "uuid": ["50554d6e-29bb-11e5-b345-feff819cdc9f", "5A54D6E0-29BB-41E5-B345-FEFF819CDC9F", "1"],
    "list<int>": ["[1, 2]", "[]", "[1, 'a']", "[null]", "{1}", "[1, 1]", "[-5]"],
    "set<text>": ["{'b', 'a'}", "{}", "{'a', 'a'}", "['a']", "{1}", "{null}"],
    "map<text, int>": ["{'a': 1, 'b': 2}", "{}", "{'a': 1, 'a': 2}", "{'a'}", "{'a': null}", "{1: 1}"],
    "frozen<list<text>>": ["['b', 'a']", "[]", "[1]"],
    "frozen<set<int>>": ["{3, 1, 2}", "{}", "{'a'}"],
    "frozen<map<int, text>>": ["{2: 'b', 1: 'a'}", "{}", "{1: 2}"],
    "tuple<int, text>": ["(1, 'a')", "(1, null)", "(1)", "(1, 'a', 2)", "('a', 1)"],
    "vector<float, 3>": ["[1, 2, 3]", "[1.5, -2, 0]", "[1, 2]", "[1, 2, 3, 4]", "[]"],
    "pair": ["{x: 1, y: 'a'}", "{x: 1}", "{}", "{z: 1}", "{x: 'a'}", "(1, 'a')"],
    "frozen<pair>": ["{x: 1, y: 'a'}", "{y: 'a'}", "{z: 1}", "{x: null}"],
    "list<frozen<pair>>": ["[{x: 1, y: 'a'}]", "[{x: 1}, {}]", "[{z: 1}]", "[1]"],
    "map<int, frozen<set<int>>>": ["{1: {3, 2}}", "{1: {}}", "{1: 2}"],
}
ONE_ARGUMENT = (
    "abs exp log log10 round token min max count sum avg to_json map_keys map_values collection_count collection_min"
    " collection_max collection_sum collection_avg to_date to_timestamp to_unix_timestamp min_timeuuid max_timeuuid"
    " int_as_blob text_as_blob bigint_as_blob blob_as_int blob_as_text writetime ttl maxwritetime mask_default mask_null"
).split()


def column_of(kind):
    return "c_" + "".join(letter if letter.isalnum() else "_" for letter in kind).strip("_").replace("__", "_")


COLUMNS = {column_of(kind): kind for kind in NATIVE + COLLECTIONS}


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.timestamp = 1_000_000

    def pick(self, items):
        return self.random.choice(items)

    def chance(self, share):
        return self.random.random() < share

    def literal(self, kind):
        """Mostly a right one of the type, at times a wrong one or another type's."""
        if self.chance(0.06):
            kind = self.pick(list(LITERALS))
        if self.chance(0.03):
            return "null"
        if self.chance(0.25):
            return self.pick(LITERALS[kind])
        return self.pick(LITERALS[kind][:2])

    def using(self):
        self.timestamp += 1
        return f"USING TIMESTAMP {self.timestamp}"

    def setup(self):
        yield "DROP KEYSPACE IF EXISTS g"
        yield "CREATE KEYSPACE g WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        yield "CREATE TYPE g.pair (x int, y text)"
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        yield f"CREATE TABLE g.types (k int PRIMARY KEY, {columns})"
        yield (
            "CREATE TABLE g.rows (a int, b text, c int, d int, e text, s int static, v int, w text, l list<int>,"
            " z set<int>, m map<text, int>, fl frozen<list<int>>, t tuple<int, text>,"
            " PRIMARY KEY ((a, b), c, d, e)) WITH CLUSTERING ORDER BY (c ASC, d DESC, e ASC)"
        )
        for a in range(3):
            for b in "xy":
                yield f"INSERT INTO g.rows (a, b, s) VALUES ({a}, '{b}', {a * 10}) {self.using()}"
        for _ in range(80):
            key = f"{self.random.randrange(3)}, '{self.pick('xy')}', {self.random.randrange(3)}"
            key += f", {self.random.randrange(4)}, '{self.pick('pqr')}'"
            v, n = self.random.randrange(9), self.random.randrange(5)
            yield (
                "INSERT INTO g.rows (a, b, c, d, e, v, w, l, z, m, fl, t)"
                f" VALUES ({key}, {v}, 'w{n}', [{n}, {v}], {{{n}, {v}}}, {{'k{n}': {v}}}, [{v}], ({n}, 't')) {self.using()}"
            )
        for name, kind in COLUMNS.items():
            for literal in LITERALS[kind]:
                yield f"INSERT INTO g.types (k, {name}) VALUES (1, {literal}) {self.using()}"
                yield f"SELECT {name} FROM g.types WHERE k = 1"
        for name, kind in COLUMNS.items():
            yield f"INSERT INTO g.types (k, {name}) VALUES (1, {LITERALS[kind][0]}) {self.using()}"

    def write_types(self):
        name = self.pick(list(COLUMNS))
        kind, key = COLUMNS[name], self.random.randrange(3)
        value = self.literal(kind)
        change = self.pick([
            f"{name} = {value}", f"{name} = {value}", f"{name} = {name} + {value}", f"{name} = {name} - {value}",
            f"{name} = {value} + {name}", f"{name} += {value}", f"{name} -= {value}",
            f"{name}[{self.pick(['0', '1', chr(39) + 'a' + chr(39), '-1', '9', 'null'])}] = {self.pick(['1', 'null', chr(39) + 'a' + chr(39)])}",
            f"{name}.x = 5", f"{name}.z = 5",
        ])
        text = f"UPDATE g.types {self.using()} SET {change} WHERE k = {key}"
        if self.chance(0.15):
            target = self.pick([name, f"{name}[0]", f"{name}[1]", f"{name}['a']", f"{name}.y", "k"])
            text = f"DELETE {target} FROM g.types {self.using()} WHERE k = {key}"
        elif self.chance(0.2):
            text = f"INSERT INTO g.types JSON '{{\"k\": {key}, \"{name}\": {self.json()}}}' {self.using()}"
        return [text, f"SELECT {name}, writetime({name}) FROM g.types WHERE k = {key}"]

    def json(self):
        return self.pick([
            "1", "-1", "1.5", '"abc"', '"2024-02-29"', '"12:00:00"', "true", "null", "[1, 2]", '["a"]', '{"a": 1}',
            '{"x": 1, "y": "b"}', '"127.0.0.1"', '"0x00"', '"1h"', '"50554d6e-29bb-11e5-b345-feff819cdc9f"', '"1"',
            '{"1": [2]}', '{"1": "a"}', "[1, 2, 3]", '[{"x": 3}]', '"true"', "[]", "{}", '[1, "a"]', "1e2",
        ])

    def term(self, depth=0):
        """A selector over the table of types."""
        name = self.pick(list(COLUMNS))
        shape = self.random.randrange(12 if depth < 2 else 2)
        if shape < 2:
            return name
        if shape < 5:
            return f"{self.pick(ONE_ARGUMENT)}({self.term(depth + 1)})"
        if shape < 7:
            return f"{self.term(depth + 1)} {self.pick('+-*/%')} {self.term(depth + 1)}"
        if shape == 7:
            return f"CAST({self.term(depth + 1)} AS {self.pick(NATIVE)})"
        if shape == 8:
            kind = self.pick(list(LITERALS))
            return f"({self.pick(NATIVE)}) {self.literal(kind)}"
        if shape == 9:
            return f"{name}[{self.pick(['0', '1', chr(39) + 'a' + chr(39), '0..2', chr(39) + 'a' + chr(39) + '..'])}]"
        if shape == 10:
            return self.pick([f"{name}.x", f"{name}.y", f"{name}.q", f"({name}, {name})", f"[{name}]", f"{{{name}}}"])
        return self.pick([
            f"floor({self.term(depth + 1)}, {self.pick(['1h', '2d', '1mo', '10ms', '5'])})",
            f"round({self.term(depth + 1)}, 1)", f"similarity_cosine({name}, [1, 2, 3])", f"from_json({name})",
            f"blob_as_{self.pick(NATIVE)}({name})", f"{self.pick(NATIVE)}_as_blob({name})",
        ])

    def select_types(self):
        terms = ", ".join(self.term() for _ in range(self.pick([1, 1, 1, 2])))
        where = self.pick(["WHERE k = 1", "WHERE k = 1", "WHERE k = 1", ""])
        json = "JSON " if self.chance(0.15) else ""
        return [f"SELECT {json}{terms} FROM g.types {where}".strip()]

    def filter_types(self):
        name = self.pick(list(COLUMNS))
        kind = COLUMNS[name]
        value = self.literal(kind)
        operator = self.pick(["=", "=", "<", ">", "<=", ">=", "!=", "IN", "CONTAINS", "CONTAINS KEY", "LIKE", "IS NOT NULL"])
        if operator == "IN":
            value = f"({value}, {self.literal(kind)})"
        elif operator.startswith("CONTAINS"):
            value = self.pick(["1", "'a'", "null", "{1}"])
        elif operator == "IS NOT NULL":
            operator, value = "IS NOT", "NULL"
        left = name if self.chance(0.9) else f"{name}[{self.pick(['0', chr(39) + 'a' + chr(39)])}]"
        end = self.pick([" ALLOW FILTERING"] * 5 + [""])
        return [f"SELECT k, {name} FROM g.types WHERE {left} {operator} {value}{end}"]

    def value(self, column):
        if self.chance(0.04):
            return self.pick(["null", "'q'", "1.5", "[1]", "true"])
        return {"b": f"'{self.pick('xyz')}'", "e": f"'{self.pick('pqrs')}'", "w": f"'w{self.random.randrange(5)}'"}.get(
            column, str(self.random.randrange(5))
        )

    def relation(self, column):
        shape = self.random.random()
        if shape < 0.5:
            return f"{column} = {self.value(column)}"
        if shape < 0.75:
            values = ", ".join(self.value(column) for _ in range(self.random.randrange(4)))
            return f"{column} IN ({values})"
        if shape < 0.95:
            return f"{column} {self.pick(['<', '<=', '>', '>='])} {self.value(column)}"
        return self.pick([f"{column} != {self.value(column)}", f"{column} LIKE 'w%'", f"{column} IS NOT NULL"])

    def tuple_relation(self):
        columns = self.pick([["c", "d"], ["c", "d", "e"], ["c"], ["d", "e"], ["c", "e"], ["d", "c"]])
        one = lambda: "(" + ", ".join(self.value(column) for column in columns[: self.pick([3, 3, 3, 1, 2])]) + ")"
        names = f"({', '.join(columns)})"
        if self.chance(0.3):
            return f"{names} IN ({one()}, {one()})"
        return f"{names} {self.pick(['=', '<', '<=', '>', '>='])} {one()}"

    def where(self):
        relations = []
        if self.chance(0.85):
            shape = self.random.random()
            if shape < 0.65:
                relations += [f"a = {self.value('a')}", f"b = {self.value('b')}"]
            elif shape < 0.85:
                relations += [self.relation("a"), self.relation("b")]
            else:
                relations.append(f"token({self.pick(['a, b', 'a, b', 'b, a', 'a'])}) {self.pick(['>', '<=', '='])}"
                                 f" {self.pick(['0', '-1', 'token(1, ' + chr(39) + 'x' + chr(39) + ')'])}")
        if self.chance(0.3):
            relations.append(self.tuple_relation())
        for column in "cde":
            if self.chance(0.35):
                relations.append(self.relation(column))
        if self.chance(0.25):
            relations.append(self.pick([
                self.relation("v"), self.relation("w"), self.relation("s"), f"l CONTAINS {self.value('v')}",
                f"z CONTAINS {self.value('v')}", f"m CONTAINS KEY 'k{self.random.randrange(5)}'", f"m['k1'] = {self.value('v')}",
                f"m CONTAINS {self.value('v')}", f"fl = [{self.value('v')}]", f"t = ({self.value('v')}, 't')",
                f"l = [{self.value('v')}]", f"fl CONTAINS {self.value('v')}",
            ]))
        self.random.shuffle(relations) if self.chance(0.2) else None
        return f" WHERE {' AND '.join(relations)}" if relations else ""

    def select_rows(self):
        group = ""
        columns = self.pick(["*", "a, b, c, d, e", "v", "a, v, w", "s", "c, d, token(a, b)", "a, b, s", "l, z, m, t", "writetime(v), ttl(v), s"])
        if self.chance(0.2):
            aggregates = self.pick(["count(*)", "sum(v), min(w)", "max(c), count(v)", "avg(v)", "min(e), max(t)", "c, count(l)"])
            group = self.pick(["", " GROUP BY a, b", " GROUP BY a, b, c", " GROUP BY a, b, c, d", " GROUP BY a", " GROUP BY c", " GROUP BY a, b, c, d, e"])
            columns = aggregates if self.chance(0.6) else f"a, b, c, {aggregates}"
        distinct = "DISTINCT " if self.chance(0.08) else ""
        if distinct and self.chance(0.7):
            columns = self.pick(["a, b", "a, b, s", "s, b, a", "count(a)"])
        text = f"SELECT {distinct}{columns} FROM g.rows{self.where()}{group}"
        if self.chance(0.25):
            text += " ORDER BY " + self.pick(["c", "c DESC", "c ASC, d DESC", "c DESC, d ASC", "c DESC, d DESC", "d", "d ASC", "e", "c DESC, d ASC, e DESC", "v"])
        if self.chance(0.15):
            text += f" PER PARTITION LIMIT {self.pick(['1', '2', '0', '3'])}"
        if self.chance(0.2):
            text += f" LIMIT {self.pick(['1', '2', '5', '100', '0', '-1'])}"
        if self.chance(0.5):
            text += " ALLOW FILTERING"
        return [text]

    def write_rows(self):
        stamp = self.using()
        key = f"a = {self.value('a')} AND b = {self.value('b')}"
        rows = self.pick([
            f" AND c = {self.value('c')} AND d = {self.value('d')} AND e = {self.value('e')}",
            f" AND c = {self.value('c')} AND d IN (0, 2) AND e = {self.value('e')}",
            f" AND c = {self.value('c')} AND d > {self.value('d')}", f" AND (c, d) >= ({self.value('c')}, {self.value('d')})",
            f" AND c = {self.value('c')}", "", f" AND c < 1", f" AND c = 1 AND e = 'p'",
        ])
        full = f" AND c = {self.value('c')} AND d = {self.value('d')} AND e = {self.value('e')}"
        change = self.pick([
            "v = 3", "w = null", "l = l + [7]", "l = [6] + l", "l = l - [1]", "l[0] = 4", "l[1] = null", "z = z + {8}",
            "z = z - {1}", "m['k1'] = 5", "m = m - {'k1'}", "s = 4", "l[5] = 1", "v = v + 1", "t = (1, 'u')", "l = []", "c = 1",
        ])
        text = self.pick([
            f"DELETE FROM g.rows {stamp} WHERE {key}{rows}",
            f"DELETE {self.pick(['v', 'l', 'l[0]', 'm[' + chr(39) + 'k1' + chr(39) + ']', 'z[1]', 's', 't', 'c'])} FROM g.rows {stamp} WHERE {key}{self.pick([rows, full])}",
            f"UPDATE g.rows {stamp} SET {change} WHERE {key}{full}",
            f"UPDATE g.rows {stamp} SET {change} WHERE {key}{full}",
            f"UPDATE g.rows {stamp} SET {change} WHERE {key}{rows}",
            f"UPDATE g.rows USING TTL 100000 AND TIMESTAMP {self.timestamp} SET {change} WHERE {key}{full}",
        ])
        return [text, "SELECT a, b, c, d, e, s, v, w, l, z, m, t, writetime(l), writetime(v) FROM g.rows"]

    def schema(self):
        kinds = NATIVE + COLLECTIONS + ["counter", "list<list<int>>", "set<duration>", "frozen<nope>", "map<duration, int>", "tuple<int>", "vector<int, 0>", "nope", "set<counter>", "frozen<int>", "vector<text, 2>"]
        columns = [f"{name} {self.pick(kinds)}{self.pick([''] * 6 + [' static'])}" for name in "pqrst"[: self.random.randrange(2, 6)]]
        key = self.pick(["(p)", "(p, q)", "((p, q))", "((p, q), r)", "(p, q, r)", "(q)", "(p, p)", "(z)"])
        order = self.pick(["", "", " WITH CLUSTERING ORDER BY (q DESC)", " WITH CLUSTERING ORDER BY (q DESC, r ASC)", " WITH comment = 'x' AND gc_grace_seconds = 5", " WITH compaction = {'class': 'LeveledCompactionStrategy'}", " WITH nope = 1", " WITH default_time_to_live = -1", " WITH bloom_filter_fp_chance = 2", " WITH caching = {'keys': 'NONE'}", " WITH compression = {'enabled': false}", " WITH speculative_retry = '50ms'"])
        change = self.pick([
            f"ADD n {self.pick(kinds)}", "DROP r", "DROP q", "DROP p", "RENAME q TO qq", "RENAME r TO p", "WITH comment = 'y'",
            "ADD p int", "ALTER r TYPE blob", "WITH gc_grace_seconds = -1", "ADD (n1 int, n2 text)", "DROP IF EXISTS zz", "ADD IF NOT EXISTS p int",
            "WITH memtable = 'x'", "WITH min_index_interval = 1", "WITH crc_check_chance = 3", "WITH compaction = {'class': 'Nope'}",
        ])
        return [
            "DROP TABLE IF EXISTS g.made",
            f"CREATE TABLE g.made ({', '.join(columns)}, PRIMARY KEY {key}){order}",
            f"ALTER TABLE g.made {change}",
            "DESCRIBE TABLE g.made",
        ]


def broken(generator, text):
    """A token left out, doubled or replaced."""
    words = text.split(" ")
    place = generator.random.randrange(len(words))
    shape = generator.random.randrange(3)
    if shape == 0:
        del words[place]
    elif shape == 1:
        words.insert(place, words[place])
    else:
        words[place] = generator.pick(["SELECT", "=", "(", ")", ",", "x", "1", "'s'", "AND", "?", "*"])
    return " ".join(words)


def statements(count, seed):
    """(statement, page size or None), so many of them after those that make the tables."""
    generator = Generator(seed)
    for text in generator.setup():
        yield text, None
    kinds = [
        (generator.select_types, 30), (generator.select_rows, 34), (generator.filter_types, 12),
        (generator.write_types, 14), (generator.write_rows, 8), (generator.schema, 1),
    ]
    makers, weights = zip(*kinds)
    made = 0
    while made < count:
        maker = generator.random.choices(makers, weights)[0]
        for text in maker():
            made += 1
            page_size = generator.pick([1, 2, 3, 7, 100]) if maker == generator.select_rows and generator.chance(0.4) else None
            if maker in (generator.select_types, generator.select_rows) and generator.chance(0.03):
                text = broken(generator, text)
            yield text, page_size
