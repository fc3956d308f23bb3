using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ( name = "hub", worker = .hub ),
    ( name = "disk", disk = ( writable = true ) ),
  ],
  sockets = [ ( name = "http", http = (), service = "hub" ) ],
);

const hub :Workerd.Worker = (
  modules = [
    ( name = "worker.js", esModule = embed "worker.js" ),
    ( name = "hub.wasm", wasm = embed "hub.wasm" ),
  ],
  compatibilityDate = "2026-04-01",
  compatibilityFlags = ["no_web_socket_compression", "nodejs_compat", "no_nodejs_compat_v2", "no_nodejs_global_timers"],
  durableObjectNamespaces = [ ( className = "Database", uniqueKey = "vsync-database", enableSql = true ) ],
  durableObjectStorage = ( localDisk = "disk" ),
  bindings = [
    ( name = "DATABASES", durableObjectNamespace = "Database" ),
    ( name = "HUB_KEY", fromEnvironment = "HUB_KEY" ),
    ( name = "TOKEN_KEYS", fromEnvironment = "TOKEN_KEYS" ),
    ( name = "OPEN_TO", fromEnvironment = "OPEN_TO" ),
    ( name = "ORIGINS", fromEnvironment = "ORIGINS" ),
    ( name = "BODY_TIME", fromEnvironment = "BODY_TIME" ),
    ( name = "LOG", fromEnvironment = "LOG" ),
  ],
);
