package wire

// Beats are heartbeats as text messages, the only ones there are, for hubs whose host answers them while they sleep (PROTOCOL.md,
// section 13). No frame begins like them. A Conn carries them as what they are: Write sends them as text, and Read returns them.
const (
	TextPing = "ping" // of the device, once a welcome has said Beat
	TextPong = "pong" // the answer
)

// IsBeat reports whether a message is a beat, and no frame.
func IsBeat(message []byte) bool { return string(message) == TextPing || string(message) == TextPong }
