package device

// MaxSubject is the longest subject in bytes of UTF-8: room for an address or for the name that an
// identity provider gives, in a row that is kept for ever.
const MaxSubject = 512

// RecordSize is the largest row.
const RecordSize = 2 + 16 + 8 + 8 + 2 + MaxSubject
