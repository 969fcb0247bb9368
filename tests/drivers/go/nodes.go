package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// The driver knows all three, from one.
func (s *scenario) allNodes() error {
	var found []string
	for _, host := range s.session.GetHosts() {
		found = append(found, host.ConnectAddress().String())
		if host.DataCenter() != s.dataCenter || !host.IsUp() || len(host.Tokens()) == 0 {
			return fmt.Errorf("%v is down, in another data centre or without tokens", host)
		}
	}
	wanted := slices.Sorted(slices.Values(s.nodes))
	if slices.Sort(found); !slices.Equal(found, wanted) {
		return fmt.Errorf("the driver knows %v", found)
	}
	return nil
}

type end struct {
	token int64
	node  string
}

// ring is who has which token, as the nodes' own tables have it, in the order of tokens.
func (s *scenario) ring() ([]end, error) {
	var ends []end
	asked := map[string]bool{}
	for times := 0; len(asked) < 3; times++ {
		var node string
		var tokens []string
		if err := s.session.Query("SELECT rpc_address, tokens FROM system.local").Scan(&node, &tokens); err != nil {
			return nil, err
		}
		if times == 1_000 {
			return nil, fmt.Errorf("a thousand questions reached only %v", asked)
		}
		if asked[node] {
			continue
		}
		asked[node] = true
		for _, text := range tokens {
			token, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, err
			}
			ends = append(ends, end{token, node})
		}
	}
	sort.Slice(ends, func(a, b int) bool { return ends[a].token < ends[b].token })
	return ends, nil
}

// With one copy of each row, every request goes straight to the node that has it.
func (s *scenario) routing() error {
	if err := s.run("DROP KEYSPACE IF EXISTS d_go_one",
		"CREATE KEYSPACE d_go_one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		"CREATE TABLE d_go_one.routed (a text, b int, v int, PRIMARY KEY ((a, b)))"); err != nil {
		return err
	}
	ends, err := s.ring()
	if err != nil {
		return err
	}
	coordinators := map[string]bool{}
	for number := range 60 {
		key := fmt.Sprintf("key %d", number)
		written := s.session.Query("INSERT INTO d_go_one.routed (a, b, v) VALUES (?, ?, ?)", key, number, number).Iter()
		if err := written.Close(); err != nil {
			return err
		}
		read := s.session.Query("SELECT v, token(a, b) FROM d_go_one.routed WHERE a = ? AND b = ?", key, number).Iter()
		var found int
		var token int64
		if !read.Scan(&found, &token) || found != number {
			return fmt.Errorf("row %d holds %d: %w", number, found, read.Close())
		}
		owner := ends[0].node
		if place := sort.Search(len(ends), func(at int) bool { return ends[at].token >= token }); place < len(ends) {
			owner = ends[place].node
		}
		for _, asked := range []string{written.Host().ConnectAddress().String(), read.Host().ConnectAddress().String()} {
			if asked != owner {
				return fmt.Errorf("token %d is %s's, but %s was asked", token, owner, asked)
			}
			coordinators[asked] = true
		}
		if err := read.Close(); err != nil {
			return err
		}
	}
	if len(coordinators) != 3 {
		return fmt.Errorf("60 keys went to %v alone", coordinators)
	}
	return nil
}

// traced keeps the id of what was traced.
type traced struct{ id []byte }

// Trace is called by the driver.
func (t *traced) Trace(id []byte) { t.id = id }

// A traced request has a session and events that can be read.
func (s *scenario) tracing() error {
	trace := &traced{}
	if err := s.session.Query("SELECT * FROM batched WHERE p = 1").Trace(trace).Exec(); err != nil {
		return err
	}
	if trace.id == nil {
		return errors.New("the answer has no tracing id")
	}
	var said strings.Builder
	event := regexp.MustCompile(`(?m)^\S+ \S+: .+ \(source: [0-9.]+, elapsed: \d+\)$`)
	err := until("the trace is there", 30, func() bool {
		var duration *int
		if s.session.Query("SELECT duration FROM system_traces.sessions WHERE session_id = ?", trace.id).Scan(&duration) != nil || duration == nil {
			return false
		}
		said.Reset()
		gocql.NewTraceWriter(s.session, &said).Trace(trace.id)
		return len(event.FindAllString(said.String(), -1)) >= 2
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, said.String())
	}
	coordinator := regexp.MustCompile(`\(coordinator: ([^,]*),`).FindStringSubmatch(said.String())
	if coordinator == nil || !slices.Contains(s.nodes, coordinator[1]) {
		return fmt.Errorf("the trace names no coordinator: %s", said.String())
	}
	return nil
}

// The driver hears of a node that dies and comes back, goes on without it, and uses it again.
func (s *scenario) downAndUp() error {
	victim := s.nodes[2]
	s.heard.forget()
	if err := control("kill", 3); err != nil {
		return err
	}
	if err := until("DOWN is heard", 60, func() bool { return s.heard.has("DOWN", victim) }); err != nil {
		return err
	}
	for number := range 50 {
		if err := s.session.Query("INSERT INTO batched (p, c, v) VALUES (9, ?, 'while one is down')", number).Exec(); err != nil {
			return fmt.Errorf("a write while a node is down: %w", err)
		}
	}
	if err := control("start", 3); err != nil {
		return err
	}
	if err := until("UP is heard", 120, func() bool { return s.heard.has("UP", victim) }); err != nil {
		return err
	}
	return until("the node is asked again", 60, func() bool {
		iter := s.session.Query("SELECT rpc_address FROM system.local").Iter()
		return iter.Close() == nil && iter.Host().ConnectAddress().String() == victim
	})
}

// With the right authority the driver connects by TLS, with another it does not.
func (s *scenario) tls() error {
	if err := s.byTLS("ca.pem"); err != nil {
		return err
	}
	if s.byTLS("other-ca.pem") == nil {
		return errors.New("a certificate of another authority was accepted")
	}
	return nil
}

func (s *scenario) byTLS(authority string) error {
	file, err := os.ReadFile(filepath.Join(os.Getenv("DRIVERS_CERTIFICATES"), authority))
	if err != nil {
		return err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(file) {
		return fmt.Errorf("%s has no certificate", authority)
	}
	cluster := s.cluster(os.Getenv("DRIVERS_TLS_NODE"), "")
	cluster.SslOpts = &gocql.SslOptions{Config: &tls.Config{RootCAs: authorities}, EnableHostVerification: true}
	session, err := cluster.CreateSession()
	if err != nil {
		return err
	}
	defer session.Close()
	var name string
	return session.Query("SELECT cluster_name FROM system.local").Scan(&name)
}
