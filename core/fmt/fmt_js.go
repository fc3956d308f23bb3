package fmt

import "io"

// In an engine not even the name of Go's package is left: it would bring package os.

func goSprintf(string, ...any) string { return "" }

func goSprint(...any) string { return "" }

func goErrorf(string, ...any) error { return nil }

func goFprintf(io.Writer, string, ...any) (int, error) { return 0, nil }
