// What a hub in a Durable Object costs at least: plain JavaScript that stores each message as a row, tells the sender, and hands the same
// bytes to all others. It judges nothing, keeps no objects and no history, and cannot go on where a reader stopped. ./build.sh bench edge
// measures the hub against it.
export default {
  fetch: (request, env) => env.DATABASES.get(env.DATABASES.idFromName(new URL(request.url).pathname.split('/')[2])).fetch(request),
};

export class Database {
  #state;

  constructor(state) {
    this.#state = state;
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    state.storage.sql.exec('CREATE TABLE IF NOT EXISTS feed (seq INTEGER PRIMARY KEY, message BLOB)');
  }

  async fetch(request) {
    if (request.headers.get('Upgrade') === null) return new Response(null, { status: 426 });
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#state.acceptWebSocket(ours);
    return new Response(null, { status: 101, webSocket: theirs, headers: { 'Sec-WebSocket-Protocol': 'vsync.1' } });
  }

  webSocketMessage(sender, message) {
    this.#state.storage.sql.exec('INSERT INTO feed (message) VALUES (?)', message);
    for (const socket of this.#state.getWebSockets()) {
      if (socket !== sender) socket.send(message);
    }
    sender.send(new ArrayBuffer(8));
  }

  webSocketClose(socket, code, reason) {
    socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }
}
