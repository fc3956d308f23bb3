package change

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"vsync/core/fmt"
)

// What JSON cannot say is written as an object with one of these as its only key. An object of the
// application's own that looks like that gets one more $ in front.
const (
	tagBytes = "$bytes" // base64 with padding
	tagDate  = "$date"  // as JavaScript's toISOString
	tagInt   = "$int"   // an integer beyond ±(2^53-1), in decimal
	tagFloat = "$float" // "Infinity" or "-Infinity"
)

// ToJSON checks a value and returns it as JSON without spaces, keys in their order:
//
//	bin                        {"$bytes":"aGk="}
//	timestamp                  {"$date":"2026-01-02T03:04:05.678Z"}
//	integers beyond ±(2^53-1)  {"$int":"9007199254740993"}
//	±Inf                       {"$float":"-Infinity"}
//	the map {"$date": x}       {"$$date":x}
//
// FromJSON makes the same value of it. Errors are *ValueError.
func ToJSON(value []byte) ([]byte, error) {
	if err := CheckValue(value); err != nil {
		return nil, err
	}
	d := decoder{b: value}
	return d.json(make([]byte, 0, 2*len(value)+16)), nil
}

func (d *decoder) json(dst []byte) []byte {
	switch t := d.next(); t.shape {
	case shapeArray:
		dst = append(dst, '[')
		for i := range t.n {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = d.json(dst)
		}
		return append(dst, ']')
	case shapeMap:
		dst = append(dst, '{')
		for i := range t.n {
			if i > 0 {
				dst = append(dst, ',')
			}
			key := string(d.next().bytes)
			if t.n == 1 && isTag(strings.TrimLeft(key, "$")) && key[0] == '$' {
				key = "$" + key
			}
			dst = append(appendJSONString(dst, key), ':')
			dst = d.json(dst)
		}
		return append(dst, '}')
	default:
		return t.json(dst)
	}
}

func isTag(name string) bool {
	switch "$" + name {
	case tagBytes, tagDate, tagInt, tagFloat:
		return true
	}
	return false
}

func (t token) json(dst []byte) []byte {
	switch t.shape {
	case shapeBool:
		return strconv.AppendBool(dst, t.n == 1)
	case shapeUint:
		if t.n > maxSafeInteger {
			return appendTagged(dst, tagInt, strconv.FormatUint(t.n, 10))
		}
		return strconv.AppendUint(dst, t.n, 10)
	case shapeInt:
		if int64(t.n) < -maxSafeInteger {
			return appendTagged(dst, tagInt, strconv.FormatInt(int64(t.n), 10))
		}
		return strconv.AppendInt(dst, int64(t.n), 10)
	case shapeFloat:
		return appendJSONFloat(dst, math.Float64frombits(t.n))
	case shapeString:
		return appendJSONString(dst, string(t.bytes))
	case shapeBin:
		return appendTagged(dst, tagBytes, base64.StdEncoding.EncodeToString(t.bytes))
	case shapeTime:
		return appendTagged(dst, tagDate, formatDate(t.time()))
	}
	return append(dst, "null"...)
}

func appendTagged(dst []byte, tag, text string) []byte {
	dst = appendJSONString(append(dst, '{'), tag)
	dst = appendJSONString(append(dst, ':'), text)
	return append(dst, '}')
}

// appendJSONFloat writes a float64 as JavaScript does, except that it keeps -0.
func appendJSONFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) {
		return appendTagged(dst, tagFloat, strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+")+"inity")
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		text := strconv.FormatFloat(f, 'e', -1, 64)
		return append(dst, strings.Replace(text, "e-0", "e-", 1)...)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendJSONString escapes what JSON.stringify escapes. s must be UTF-8.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		c := s[i]
		short := strings.IndexByte("\b\f\n\r\t\"\\", c)
		switch {
		case short >= 0:
			dst = append(dst, '\\', `bfnrt"\`[short])
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// formatDate writes a date as JavaScript's toISOString does: years beyond 0 to 9999 have a sign and
// six digits. Package time would bring half of itself along.
func formatDate(t time.Time) string {
	const day = 24 * 60 * 60
	sec := t.Unix()
	days := floorDiv(sec, day)
	y, month, d := civil(days)
	sec -= days * day
	year := "%04d"
	if y < 0 {
		year, y = "-%06d", -y
	} else if y > 9999 {
		year = "+%06d"
	}
	return fmt.Sprintf(year+"-%02d-%02dT%02d:%02d:%02d.%03dZ", y, month, d, sec/3600, sec/60%60, sec%60, t.Nanosecond()/1e6)
}

// civil is the date of a day in the Gregorian calendar, counted from the 1st of January 1970. Years begin in March here, so that the day of
// a leap year is their last: 400 of them have 146,097 days, four 1,461, and five months from March on 153.
func civil(day int64) (year, month, of int64) {
	day += 719_468 // from the 1st of March of the year 0
	era := floorDiv(day, 146_097)
	day -= era * 146_097
	y := (day - day/1460 + day/36_524 - day/146_096) / 365
	day -= 365*y + y/4 - y/100
	m := (5*day + 2) / 153
	year, month, of = y+400*era, m+3, day-(153*m+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, of
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// parseDate reads RFC 3339 with at most milliseconds, or what formatDate writes.
func parseDate(s string) (time.Time, bool) {
	if len(s) > 7 && (s[0] == '+' || s[0] == '-') {
		return parseFarDate(s)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil && t.Nanosecond()%1_000_000 == 0
}

// parseFarDate puts a year of the 400-year calendar cycle in place of the far one, and moves the
// result by whole cycles.
func parseFarDate(s string) (time.Time, bool) {
	year, err := strconv.Atoi(s[:7])
	if err != nil {
		return time.Time{}, false
	}
	near := 2000 + (year%400+400)%400
	t, err := time.Parse("2006-01-02T15:04:05.000Z", strconv.Itoa(near)+s[7:])
	if err != nil {
		return time.Time{}, false
	}
	t = t.AddDate(year-near, 0, 0)
	return t, formatDate(t) == s
}
