package engine

import (
	"vsync/core"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// check holds all that is stored against each other, and mends what it can if that is asked for.
func check(c *call, n uint64, repair bool) ([]byte, error) {
	verify := c.db.replica.Check
	if repair {
		verify = c.db.replica.Repair
	}
	rep, err := verify(c.ctx)
	if err != nil {
		return nil, err
	}
	b := msgpack.AppendBool(port.Frame(nil, port.OK, n, 5), rep.OK)
	b = msgpack.AppendUint(msgpack.AppendUint(b, uint64(rep.Objects)), uint64(rep.Batches))
	return appendFindings(appendFindings(b, rep.Findings), rep.Aside), nil
}

func appendFindings(b []byte, list []core.Finding) []byte {
	b = msgpack.AppendArray(b, len(list))
	for i := range list {
		f := &list[i]
		b = msgpack.AppendStr(msgpack.AppendArray(b, 4), f.String())
		b = msgpack.AppendBool(msgpack.AppendBool(b, f.Repair != ""), f.Harmless)
		b = msgpack.AppendUint(b, f.Time)
	}
	return b
}
