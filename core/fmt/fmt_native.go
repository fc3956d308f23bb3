//go:build !js

package fmt

import (
	"fmt"
	"io"
)

func goSprintf(format string, values ...any) string { return fmt.Sprintf(format, values...) }

func goSprint(values ...any) string { return fmt.Sprint(values...) }

func goErrorf(format string, values ...any) error { return fmt.Errorf(format, values...) }

func goFprintf(w io.Writer, format string, values ...any) (int, error) {
	return fmt.Fprintf(w, format, values...)
}
