package core

import (
	"context"

	"vsync/core/change"
	"vsync/core/device"
	"vsync/core/pages"
)

// device returns the row of a device; zero for one never heard of.
func (f *fold) device(d change.DeviceID) (device.Record, error) {
	b, err := f.rows.get(f.rowOf(d))
	return decodeDevice(d, b, err)
}

func readDevice(ctx context.Context, t *pages.Tables, d change.DeviceID) (device.Record, error) {
	b, _, err := t.GetRow(ctx, deviceRow(d))
	return decodeDevice(d, b, err)
}

func decodeDevice(d change.DeviceID, b []byte, err error) (device.Record, error) {
	if err != nil || b == nil {
		return device.Record{}, err
	}
	rec, err := device.DecodeRecord(b)
	if err != nil {
		return device.Record{}, wrapf(Corrupt, err, "the row of device %s cannot be read", d)
	}
	return rec, nil
}
