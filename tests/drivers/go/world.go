package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// value is one of values.json: its CQL type, its literal, and the text that it has.
type value struct {
	Type    string `json:"type"`
	Literal string `json:"literal"`
	Text    string `json:"text"`
}

// world is what the scenario knows of its surroundings.
type world struct {
	nodes      []string
	dataCenter string
	skip       []string
	Types      []string `json:"types"`
	Values     []value  `json:"values"`
}

func fromEnvironment() (*world, error) {
	file, err := os.ReadFile(os.Getenv("DRIVERS_VALUES"))
	if err != nil {
		return nil, err
	}
	found := &world{
		nodes:      strings.Split(os.Getenv("DRIVERS_NODES"), ","),
		dataCenter: os.Getenv("DRIVERS_DC"),
		skip:       strings.Split(os.Getenv("DRIVERS_SKIP"), ","),
	}
	return found, json.Unmarshal(file, found)
}

func (w *world) skips(step string) bool {
	return slices.Contains(w.skip, step)
}

// control asks for `kill` or `start` of a node, counted from 1.
func control(verb string, node int) error {
	answer, err := http.Get(fmt.Sprintf("http://%s/%s/%d", os.Getenv("DRIVERS_CONTROL"), verb, node))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s of node %d: %s", verb, node, body)
	}
	return nil
}

// until looks again until it is so, or the time is over.
func until(what string, seconds int, look func() bool) error {
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for !look() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %d s", what, seconds)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}
