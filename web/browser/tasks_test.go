package browser

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// A trace names the tasks of all threads of all processes. Those count that ran where the page has set the mark.
func TestTasksOfATrace(t *testing.T) {
	const trace = `{"traceEvents":[
		{"name":"thread_name","ph":"M","pid":1,"tid":1,"ts":0,"args":{"name":"CrRendererMain"}},
		{"name":"ThreadControllerImpl::RunTask","ph":"X","pid":1,"tid":1,"ts":5,"dur":70000,"tdur":2500,"args":{}},
		{"name":"ThreadControllerImpl::RunTask","ph":"X","pid":1,"tid":1,"ts":9,"dur":4000,"tdur":3500.5,"args":{}},
		{"name":"ThreadControllerImpl::RunTask","ph":"X","pid":1,"tid":2,"ts":9,"dur":90000,"tdur":90000,"args":{}},
		{"name":"ThreadControllerImpl::RunTask","ph":"X","pid":2,"tid":1,"ts":9,"dur":90000,"tdur":90000,"args":{}},
		{"name":"FunctionCall","ph":"X","pid":1,"tid":1,"ts":1000,"dur":2000,"tdur":1500},
		{"name":"FunctionCall","ph":"X","pid":1,"tid":1,"ts":3500,"dur":400,"tdur":300},
		{"name":"MinorGC","ph":"X","pid":1,"tid":1,"ts":5000,"dur":2000,"tdur":100},
		{"name":"MinorGC","ph":"X","pid":1,"tid":2,"ts":1000,"dur":2000,"tdur":100},
		{"name":"Receive mojo message","ph":"X","pid":1,"tid":1,"ts":9,"dur":80000,"tdur":80000,"args":{}},
		{"name":"` + mark + `","ph":"I","pid":1,"tid":1,"ts":9,"s":"t","args":{}}],"metadata":{}}`
	want := Tasks{Count: 2, Total: 6000500 * time.Nanosecond, Clock: 70 * time.Millisecond, Processor: 3500500 * time.Nanosecond,
		OfClock:     map[string]time.Duration{"FunctionCall": 1800 * time.Microsecond, "MinorGC": 100 * time.Microsecond},
		OfProcessor: map[string]time.Duration{"FunctionCall": 1800 * time.Microsecond}}
	if got, err := readTasks(strings.NewReader(trace)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for what, trace := range map[string]string{
		"nothing":             ``,
		"no events":           `{"metadata":{}}`,
		"no mark":             strings.ReplaceAll(trace, mark, "x"),
		"an end in the midst": trace[:len(trace)/2],
	} {
		if got, err := readTasks(strings.NewReader(trace)); err == nil {
			t.Errorf("%s: %+v, want an error", what, got)
		}
	}
}
