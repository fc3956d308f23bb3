package device

// MaxSubject is the longest subject in bytes of UTF-8: room for an address or for the name that an
// identity provider gives, in a row that is kept for ever.
const MaxSubject = 512

// RecordSize and MappingSize are the largest rows.
const (
	RecordSize  = 2 + 16 + 8 + 8 + 2 + MaxSubject
	MappingSize = 2 + 16 + 16 + 8
)
