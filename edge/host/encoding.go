package host

import (
	"net/http"
	"strconv"
	"strings"
)

// A form is one that a file can be sent in.
type form struct {
	coding string // of Content-Encoding; "": the file as it is
	suffix string // of the name of the file that holds it
}

// forms, the smallest first: of those that a client likes as much, it gets the first.
var forms = []form{{"br", ".br"}, {"gzip", ".gz"}, {}}

// choose returns the form that a client likes best. Parts of a file are parts of it as it is: a client that has one asks for
// the rest of the same, and to most clients a part of something compressed is of no use.
func choose(h http.Header) (best form) {
	if h.Get("Range") != "" {
		return form{}
	}
	weights, liked := accepted(h.Values("Accept-Encoding")), 0.0
	for _, f := range forms {
		if weight := weights.of(f.coding); weight > liked {
			best, liked = f, weight
		}
	}
	return best
}

// weights by coding, as Accept-Encoding gives them.
type weights map[string]float64

func accepted(lines []string) weights {
	all := weights{}
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		coding, parameters, _ := strings.Cut(item, ";")
		if coding = strings.ToLower(strings.TrimSpace(coding)); coding != "" {
			all[coding] = quality(parameters)
		}
	}
	return all
}

// quality reads "q=0.5"; nothing means 1, and what is wrong means 0, as who cannot be understood gets the file as it is.
func quality(parameters string) float64 {
	name, value, is := strings.Cut(strings.TrimSpace(parameters), "=")
	if name == "" && !is {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// of returns the weight of a coding. The file as it is is always possible, and least liked where nothing is said of it.
func (all weights) of(coding string) float64 {
	key, otherwise := coding, 0.0
	if coding == "" {
		key, otherwise = "identity", 1e-9
	}
	if weight, named := all[key]; named {
		return weight
	}
	if weight, any := all["*"]; any {
		return weight
	}
	return otherwise
}

// encodedWriter says of an answer with content how that is encoded. It says so last, as http.ServeContent tells no length of what
// it sees to be encoded, although the length is right.
type encodedWriter struct {
	http.ResponseWriter
	coding string
}

func (w encodedWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Content-Encoding", w.coding)
	}
	w.ResponseWriter.WriteHeader(status)
}
