// An agent's page on Rails' own Action Cable client: it hears messages, and after a reconnect asks
// for what it missed as Chatwoot's dashboard does. Each thing that happens is told as a line of JSON.
//
//     node actioncable.js PACKAGE '{"address", "account", "user", "token", "pubsub_token", "open"}'
//
// `open` is the number of the conversation that is open on the page.
"use strict";

const [, , library, given] = process.argv;
const desk = JSON.parse(given);

// What the client expects to find in a browser.
globalThis.self = globalThis;
globalThis.WebSocket = require("ws");
globalThis.addEventListener = globalThis.removeEventListener = () => {};

const { ConnectionMonitor, createConsumer } = require(library);
// A server pings every 3 s: what is shorter would take it for dead in between.
ConnectionMonitor.staleThreshold = 3.5;
ConnectionMonitor.pollInterval = { min: 0.1, max: 0.5, multiplier: 0.1 };
ConnectionMonitor.reconnectionBackoffRate = 0.01;

const tell = (happened) => process.stdout.write(JSON.stringify(happened) + "\n");

// The page's store: for each conversation the messages it knows.
const store = new Map();
const known = (conversation) => {
  if (!store.has(conversation)) store.set(conversation, new Map());
  return store.get(conversation);
};
const newest = () => [...store].map(([id, messages]) => [id, Math.max(...messages.keys())]);

function learn(message, from) {
  const messages = known(message.conversation_id);
  if (messages.has(message.id)) return;
  messages.set(message.id, message);
  const { id, content, conversation_id: conversation, message_type: type } = message;
  tell({ happened: "message", id, content, conversation, type, from });
}

// Since when the page has been away, and what it knew then. Until it has caught up, further
// interruptions belong to this one.
let away;

async function get(path) {
  const answer = await fetch(`${desk.address}/api/v1/accounts/${desk.account}/${path}`, {
    headers: { api_access_token: desk.token },
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// The list of conversations that changed meanwhile, the newer messages of the open one, the keys of
// what is cached. The others fill up when they are opened: backwards from the message in the list.
async function catchUp({ since, knew }) {
  const seconds = Math.ceil((Date.now() - since) / 1000) + 15;
  const changed = await get(
    `conversations?status=open&assignee_type=all&sort_by=last_activity_at_desc&updated_within=${seconds}`,
  );
  for (let after = knew.get(desk.open) ?? 0; ; ) {
    const { payload } = await get(`conversations/${desk.open}/messages?after=${after}`);
    if (payload.length === 0) break;
    payload.forEach((message) => learn(message, "catching up"));
    after = Math.max(...payload.map((message) => message.id));
  }
  await get("cache_keys");
  for (const { id, messages } of changed.data.payload) {
    if (id === desk.open || messages.length === 0) continue;
    learn(messages[0], "catching up");
    for (let before = messages[0].id; before > (knew.get(id) ?? 0); ) {
      const { payload } = await get(`conversations/${id}/messages?before=${before}`);
      if (payload.length === 0) break;
      payload.forEach((message) => learn(message, "catching up"));
      before = Math.min(...payload.map((message) => message.id));
    }
  }
}

const told = new Set();
const identifier = {
  channel: "RoomChannel",
  pubsub_token: desk.pubsub_token,
  account_id: desk.account,
  user_id: desk.user,
};

createConsumer(desk.address.replace("http", "ws") + "/cable").subscriptions.create(identifier, {
  async connected() {
    tell({ happened: "connected" });
    if (!away) return;
    const missed = away;
    try {
      await catchUp(missed);
      if (away === missed) away = undefined;
      tell({ happened: "caught up" });
    } catch (error) {
      // The server went away again: what is missing still is.
      tell({ happened: "not caught up", error: String(error) });
    }
  },
  disconnected() {
    tell({ happened: "disconnected" });
    // Another object each time: what is being caught up with now may have gone on since.
    away = away ? { ...away } : { since: Date.now(), knew: new Map(newest()) };
  },
  received({ event, data }) {
    if (event !== "message.created" || data.account_id !== desk.account) return;
    if (told.has(data.id)) tell({ happened: "told twice", id: data.id });
    told.add(data.id);
    learn(data, "the socket");
  },
});
