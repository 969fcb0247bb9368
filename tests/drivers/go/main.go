// The scenario of tests/drivers/README.md through the Go driver.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// scenario is one run.
type scenario struct {
	*world
	heard   *heard
	session *gocql.Session // in the keyspace, once it is there
}

// heard is what the driver said of hosts.
type heard struct {
	lock   sync.Mutex
	events map[string]bool
}

// OnHostUp is called by the driver.
func (h *heard) OnHostUp(event gocql.HostUpEvent) { h.add("UP", event.Host) }

// OnHostDown is called by the driver.
func (h *heard) OnHostDown(event gocql.HostDownEvent) { h.add("DOWN", event.Host) }

func (h *heard) add(event string, host *gocql.HostInfo) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.events[event+" "+host.ConnectAddress().String()] = true
}

func (h *heard) forget() {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.events = map[string]bool{}
}

func (h *heard) has(event, node string) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.events[event+" "+node]
}

func main() {
	found, err := fromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
	s := &scenario{world: found, heard: &heard{events: map[string]bool{}}}
	steps := []struct {
		name string
		work func() error
	}{
		{"connect", s.connect},
		{"nodes", s.allNodes},
		{"schema", s.schema},
		{"types", s.everyType},
		{"prepared", s.prepared},
		{"batches", s.batches},
		{"paging", s.paging},
		{"routing", s.routing},
		{"errors", s.errors},
		{"tracing", s.tracing},
		{"down and up", s.downAndUp},
		{"tls", s.tls},
	}
	for _, step := range steps {
		if s.skips(step.name) {
			fmt.Printf("go: %s skipped\n", step.name)
			continue
		}
		if err := step.work(); err != nil {
			fmt.Fprintf(os.Stderr, "go: %s: %v\n", step.name, err)
			os.Exit(1)
		}
		fmt.Printf("go: %s ok\n", step.name)
	}
	s.session.Close()
}

func (s *scenario) cluster(node, keyspace string) *gocql.ClusterConfig {
	cluster := gocql.NewCluster(node)
	cluster.Keyspace = keyspace
	cluster.Consistency = gocql.Quorum
	cluster.Timeout = 30 * time.Second
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(s.dataCenter))
	return cluster
}

func (s *scenario) connect() error {
	session, err := s.cluster(s.nodes[0], "").CreateSession()
	if err != nil {
		return err
	}
	s.session = session
	var version string
	if err := session.Query("SELECT release_version FROM system.local").Scan(&version); err != nil {
		return err
	}
	if version == "" || version[0] < '0' || version[0] > '9' {
		return fmt.Errorf("release_version is '%s'", version)
	}
	return nil
}
