package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

const (
	keyspace        = "d_go"
	rows            = 100_000
	rowsOfPartition = 1_000
	rowsOfBatch     = 100
	page            = 4_999
	writers         = 8
)

// A schema that all nodes agree on, and that the driver knows.
func (s *scenario) schema() error {
	var columns []string
	for index, value := range s.Values {
		columns = append(columns, fmt.Sprintf("v%d %s", index, value.Type))
	}
	if err := s.run("DROP KEYSPACE IF EXISTS "+keyspace, "CREATE KEYSPACE "+keyspace+
		" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}"); err != nil {
		return err
	}
	// The driver has no USE: a session has its keyspace from the start.
	s.session.Close()
	cluster := s.cluster(s.nodes[0], keyspace)
	cluster.Metadata.HostListener.HostStateChangeListener = s.heard
	session, err := cluster.CreateSession()
	if err != nil {
		return err
	}
	s.session = session
	if err := s.run(append(s.Types,
		"CREATE TABLE every_type (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")",
		"CREATE TABLE altered (k int PRIMARY KEY, v int)",
		"CREATE TABLE batched (p int, c int, v text, PRIMARY KEY (p, c))",
		"CREATE TABLE paged (p int, c int, PRIMARY KEY (p, c))")...); err != nil {
		return err
	}
	return until("the driver knows the schema", 30, func() bool {
		known, err := s.session.KeyspaceMetadata(keyspace)
		if err != nil {
			return false
		}
		table, person := known.Tables["batched"], known.UserTypes["person"]
		return table != nil && table.PartitionKey[0].Name == "p" && table.ClusteringColumns[0].Name == "c" && person != nil
	})
}

// run executes statements of the schema, and waits for agreement after each.
func (s *scenario) run(statements ...string) error {
	for _, statement := range statements {
		if err := s.session.Query(statement).Exec(); err != nil {
			return fmt.Errorf("'%s': %w", statement, err)
		}
		if err := s.session.AwaitSchemaAgreement(context.Background()); err != nil {
			return fmt.Errorf("no agreement after '%s': %w", statement, err)
		}
	}
	return nil
}

// Every value goes in as a literal, comes out, goes in as the driver's own value, and comes out the same.
func (s *scenario) everyType() error {
	var names, literals []string
	for index, value := range s.Values {
		names = append(names, fmt.Sprintf("v%d", index))
		literals = append(literals, value.Literal)
	}
	insert := "INSERT INTO every_type (id, " + strings.Join(names, ", ") + ") VALUES "
	if err := s.session.Query(insert + "(1, " + strings.Join(literals, ", ") + ")").Exec(); err != nil {
		return err
	}
	bound, err := s.read(1, names)
	if err != nil {
		return err
	}
	markers, parts := "", []any{}
	for _, value := range bound {
		marker, its := value.bind()
		markers += ", " + marker
		parts = append(parts, its...)
	}
	if err := s.session.Query(insert+"(2"+markers+")", parts...).Exec(); err != nil {
		return err
	}
	_, err = s.read(2, names)
	return err
}

// read checks a row, and gives its values to be bound. The driver scans a tuple's parts each by itself.
func (s *scenario) read(id int, names []string) ([]*cell, error) {
	iter := s.session.Query("SELECT "+strings.Join(names, ", ")+" FROM every_type WHERE id = ?", id).Iter()
	var values []*cell
	var scanned []any
	for _, column := range iter.Columns() {
		tuple, ok := column.TypeInfo.(gocql.TupleTypeInfo)
		if !ok {
			values = append(values, &cell{})
			scanned = append(scanned, values[len(values)-1])
			continue
		}
		parts := make([]any, len(tuple.Elems))
		for index := range parts {
			parts[index] = &cell{}
		}
		values = append(values, &cell{info: tuple, value: parts})
		scanned = append(scanned, parts...)
	}
	if !iter.Scan(scanned...) {
		return nil, fmt.Errorf("row %d does not come: %w", id, iter.Close())
	}
	for index, wanted := range s.Values {
		found := values[index].text()
		// The driver has no notion of a number of no bytes: it is zero.
		if found != wanted.Text && !(wanted.Text == "empty" && found == "0") {
			return nil, fmt.Errorf("row %d: %s %s came as %s, not %s", id, wanted.Type, wanted.Literal, found, wanted.Text)
		}
	}
	return values, iter.Close()
}

// A prepared statement outlives a new column, and sees it.
func (s *scenario) prepared() error {
	const insert, find = "INSERT INTO altered (k, v) VALUES (?, ?)", "SELECT * FROM altered WHERE k = ?"
	read := func(key int, wanted map[string]any) error {
		row := map[string]any{}
		if err := s.session.Query(find, key).MapScan(row); err != nil {
			return err
		}
		if !maps.EqualFunc(row, wanted, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
			return fmt.Errorf("row %d is %v, not %v", key, row, wanted)
		}
		return nil
	}
	if err := s.session.Query(insert, 1, 2).Exec(); err != nil {
		return err
	}
	if err := read(1, map[string]any{"k": 1, "v": 2}); err != nil {
		return err
	}
	if err := s.run("ALTER TABLE altered ADD w text", "UPDATE altered SET w = 'new' WHERE k = 1"); err != nil {
		return err
	}
	if err := s.session.Query(insert, 2, 3).Exec(); err != nil {
		return err
	}
	for range 6 {
		if err := read(1, map[string]any{"k": 1, "v": 2, "w": "new"}); err != nil {
			return err
		}
	}
	return read(2, map[string]any{"k": 2, "v": 3, "w": ""})
}

// Unlogged batches of prepared and plain statements, over several partitions, with a timestamp.
func (s *scenario) batches() error {
	batch := s.session.Batch(gocql.UnloggedBatch).WithTimestamp(1_234_567)
	for number := range 20 {
		batch.Query("INSERT INTO batched (p, c, v) VALUES (?, ?, ?)", number%4, number, fmt.Sprintf("row %d", number))
	}
	if err := batch.Exec(); err != nil {
		return err
	}
	batch = s.session.Batch(gocql.UnloggedBatch)
	batch.Query("INSERT INTO batched (p, c, v) VALUES (1, 100, 'plain')")
	batch.Query("DELETE FROM batched WHERE p = 1 AND c = 1")
	if err := batch.Exec(); err != nil {
		return err
	}
	var found []string
	var number int
	var text string
	var first, written int64
	iter := s.session.Query("SELECT c, v, writetime(v) FROM batched WHERE p = 1").Iter()
	for iter.Scan(&number, &text, &written) {
		if len(found) == 0 {
			first = written
		}
		found = append(found, fmt.Sprintf("%d %s", number, text))
	}
	if err := iter.Close(); err != nil {
		return err
	}
	if all := strings.Join(found, ", "); all != "5 row 5, 9 row 9, 13 row 13, 17 row 17, 100 plain" {
		return fmt.Errorf("partition 1 holds %s", all)
	}
	if first != 1_234_567 {
		return fmt.Errorf("the batch's timestamp became %d", first)
	}
	return nil
}

// A hundred thousand rows come page by page, each once.
func (s *scenario) paging() error {
	if err := s.writePaged(); err != nil {
		return err
	}
	seen := make([]int, rows)
	pages := 0
	for state := []byte(nil); pages == 0 || len(state) > 0; pages++ {
		iter := s.session.Query("SELECT p, c FROM paged").PageSize(page).PageState(state).Iter()
		state = iter.PageState()
		var p, c int
		for iter.Scan(&p, &c) {
			if c < 0 || c >= rows || p != c/rowsOfPartition {
				return fmt.Errorf("row %d came from partition %d", c, p)
			}
			seen[c]++
		}
		if err := iter.Close(); err != nil {
			return err
		}
	}
	for row, times := range seen {
		if times != 1 {
			return fmt.Errorf("row %d came %d times", row, times)
		}
	}
	if pages <= rows/page {
		return fmt.Errorf("%d rows came in %d pages of %d", rows, pages, page)
	}
	return nil
}

func (s *scenario) writePaged() error {
	work := make(chan int, rows/rowsOfBatch)
	for first := 0; first < rows; first += rowsOfBatch {
		work <- first
	}
	close(work)
	failures := make([]error, writers)
	var all sync.WaitGroup
	for writer := range writers {
		all.Add(1)
		go func() {
			defer all.Done()
			for first := range work {
				batch := s.session.Batch(gocql.UnloggedBatch)
				for row := first; row < first+rowsOfBatch; row++ {
					batch.Query("INSERT INTO paged (p, c) VALUES (?, ?)", row/rowsOfPartition, row)
				}
				if err := batch.Exec(); err != nil {
					failures[writer] = err
					return
				}
			}
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}

// Errors arrive as what they are.
func (s *scenario) errors() error {
	if err := s.refused("SELEC 1", gocql.ErrCodeSyntax); err != nil {
		return err
	}
	if err := s.refused("SELECT * FROM no_such_table", gocql.ErrCodeInvalid); err != nil {
		return err
	}
	const create = "CREATE TABLE d_go_far.t (k int PRIMARY KEY)"
	if err := s.run("DROP KEYSPACE IF EXISTS d_go_far",
		"CREATE KEYSPACE d_go_far WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 5}", create); err != nil {
		return err
	}
	if err := s.refused(create, gocql.ErrCodeAlreadyExists); err != nil {
		return err
	}
	err := s.session.Query("INSERT INTO d_go_far.t (k) VALUES (1)").Consistency(gocql.All).Exec()
	var unavailable *gocql.RequestErrUnavailable
	if !errors.As(err, &unavailable) || unavailable.Required != 5 || unavailable.Alive != 3 {
		return fmt.Errorf("not 'unavailable': %w", err)
	}
	return nil
}

func (s *scenario) refused(statement string, code int) error {
	var refusal gocql.RequestError
	err := s.session.Query(statement).Exec()
	if !errors.As(err, &refusal) || refusal.Code() != code {
		return fmt.Errorf("'%s' ended with %w, not code %#x", statement, err, code)
	}
	return nil
}
