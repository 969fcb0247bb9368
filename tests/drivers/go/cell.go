package main

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"gopkg.in/inf.v0"
)

const day = 24 * 60 * 60

// cell takes whatever a column holds as the driver's own Go value for its type, and gives it back in the same way. Parts of
// collections, tuples and user types are cells too.
type cell struct {
	info  gocql.TypeInfo
	value any // nil is null; a *T of the driver's T for the type, or []cell, map[K]cell, []any of *cell, fields
}

// fields are those of a user type, in their order.
type fields struct {
	names []string
	cells map[string]*cell
}

// UnmarshalUDT is called by the driver for each field.
func (f *fields) UnmarshalUDT(name string, info gocql.TypeInfo, data []byte) error {
	f.names = append(f.names, name)
	f.cells[name] = &cell{}
	return f.cells[name].UnmarshalCQL(info, data)
}

// MarshalUDT is called by the driver for each field.
func (f fields) MarshalUDT(name string, info gocql.TypeInfo) ([]byte, error) {
	if found, ok := f.cells[name]; ok {
		return found.MarshalCQL(info)
	}
	return nil, nil
}

// UnmarshalCQL is called by the driver with the bytes.
func (c *cell) UnmarshalCQL(info gocql.TypeInfo, data []byte) error {
	c.info, c.value = info, nil
	if data == nil {
		return nil
	}
	var into any
	switch its := info.(type) {
	case gocql.CollectionType:
		if its.Type() == gocql.TypeMap {
			key := reflect.TypeOf(its.Key.Zero())
			into = reflect.New(reflect.MapOf(key, reflect.TypeFor[cell]())).Interface()
		} else {
			into = &[]cell{}
		}
	case gocql.VectorType:
		into = &[]cell{}
	case gocql.TupleTypeInfo:
		parts := make([]any, len(its.Elems))
		for index := range parts {
			parts[index] = &cell{}
		}
		c.value = parts
		return gocql.Unmarshal(info, data, parts)
	case gocql.UDTTypeInfo:
		parts := &fields{cells: map[string]*cell{}}
		c.value = parts
		return gocql.Unmarshal(info, data, parts)
	default:
		into = reflect.New(reflect.TypeOf(info.Zero())).Interface()
	}
	if err := gocql.Unmarshal(info, data, into); err != nil {
		return err
	}
	if blob, ok := into.(*[]byte); ok && *blob == nil {
		*blob = []byte{} // the driver reads no bytes as nil, and writes nil as null
	}
	c.value = into
	return nil
}

// MarshalCQL is called by the driver for the bytes.
func (c cell) MarshalCQL(info gocql.TypeInfo) ([]byte, error) {
	switch its := c.value.(type) {
	case nil:
		return nil, nil
	case *fields:
		return gocql.Marshal(info, *its)
	default:
		return gocql.Marshal(info, its)
	}
}

// bind gives the marker for the value in a statement, and what to bind to it: the driver binds a tuple part by part, never whole.
func (c *cell) bind() (string, []any) {
	tuple, ok := c.value.([]any)
	if !ok {
		return "?", []any{c}
	}
	var markers []string
	var parts []any
	for _, part := range tuple {
		marker, its := part.(*cell).bind()
		markers = append(markers, marker)
		parts = append(parts, its...)
	}
	return "(" + strings.Join(markers, ", ") + ")", parts
}

// text is what values.json has for the value.
func (c *cell) text() string {
	if c.value == nil {
		return "null"
	}
	switch its := c.value.(type) {
	case *fields:
		return between("{", its.names, func(name string) string { return name + ": " + its.cells[name].text() }, "}")
	case []any:
		return between("(", its, func(part any) string { return part.(*cell).text() }, ")")
	case *[]cell:
		if c.info.Type() == gocql.TypeSet {
			return between("{", *its, func(part cell) string { return part.text() }, "}")
		}
		return between("[", *its, func(part cell) string { return part.text() }, "]")
	}
	if c.info.Type() == gocql.TypeMap {
		return c.mapText()
	}
	return scalar(c.info.Type(), reflect.ValueOf(c.value).Elem().Interface())
}

// mapText has the entries in the order of their texts: a Go map has none.
func (c *cell) mapText() string {
	var entries []string
	for each := reflect.ValueOf(c.value).Elem().MapRange(); each.Next(); {
		part := each.Value().Interface().(cell)
		entries = append(entries, scalar(c.info.(gocql.CollectionType).Key.Type(), each.Key().Interface())+": "+part.text())
	}
	slices.Sort(entries)
	return "{" + strings.Join(entries, ", ") + "}"
}

func scalar(kind gocql.Type, value any) string {
	switch its := value.(type) {
	case []byte:
		return "0x" + hex.EncodeToString(its)
	case float64:
		return float(its, value)
	case float32:
		return float(float64(its), value)
	case time.Time:
		if kind == gocql.TypeDate {
			return fmt.Sprint(its.Unix() / day)
		}
		return fmt.Sprint(its.UnixMilli())
	case time.Duration:
		return fmt.Sprint(its.Nanoseconds())
	case gocql.Duration:
		return fmt.Sprintf("%dmo%dd%dns", its.Months, its.Days, its.Nanoseconds)
	case net.IP:
		return its.String()
	case *big.Int:
		return its.String()
	case *inf.Dec:
		return its.String()
	}
	return fmt.Sprint(value)
}

func float(value float64, finite any) string {
	switch {
	case math.IsInf(value, 1):
		return "Infinity"
	case math.IsInf(value, -1):
		return "-Infinity"
	}
	return fmt.Sprint(finite)
}

func between[T any](open string, parts []T, text func(T) string, end string) string {
	texts := make([]string, len(parts))
	for index, part := range parts {
		texts[index] = text(part)
	}
	return open + strings.Join(texts, ", ") + end
}
