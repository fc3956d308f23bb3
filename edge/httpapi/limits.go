package httpapi

import "time"

// Every bound of the API, each with its reason. Those of batches and values are in core/change.
const (
	// maxBody bounds a request: a batch has at most 8 MiB encoded, and JSON writes the same up to twice as long.
	maxBody = 16 << 20

	// bodyTime is how long a body may take to come: the largest one at 300 KB/s.
	bodyTime = time.Minute

	// stallTime is how long a client may leave an answer unread.
	stallTime = 30 * time.Second

	// maxRequests bounds the requests at the same time, long polls among them, at some KB each; maxOfSubject those of one subject.
	maxRequests  = 2000
	maxOfSubject = 100

	// defaultLimit and maxLimit bound the items of an answer, pageBytes their values: it ends behind the one that passes it. An
	// answer is held in memory until it is sent.
	defaultLimit = 100
	maxLimit     = 1000
	pageBytes    = 4 << 20

	// maxWait is how long a long poll waits: proxies end what is silent for a minute.
	maxWait = 30 * time.Second

	// maxConflicts bounds the objects that the answer to a conflict shows.
	maxConflicts = 100

	// maxKey bounds a name of a write.
	maxKey = 255

	// chunk is what of an export is sent at once.
	chunk = 64 << 10

	// retryBusy is when to come back where too many requests are under way.
	retryBusy = 5 * time.Second
)
