// Runs every method of npm's `@figuro/chatwoot-sdk`: those of agents, of platform apps, and of
// visitors.
//
//     node figuro_sdk.js ADDRESS TOKEN ACCOUNT PLATFORM_TOKEN
//
// The token is an administrator's. Ends with status 0 when every method was called and gave what it
// promises.
"use strict";

const assert = require("node:assert/strict");
const { ApiError, default: ChatwootClient } = require("@figuro/chatwoot-sdk");

// What the server does not have yet: lists are empty, all else is answered 404.
const NOT_THERE_YET = {
  webhooks: ["create", "update", "delete"],
  automationRule: ["create", "get", "update", "delete"],
  integrations: ["create", "update", "delete"],
  reports: ["listSummaries", "getMetrics", "getAgentMetrics"],
};

// What the SDK itself gets wrong with any Chatwoot, the original included. The methods are called all
// the same, and must fail in just this way.
const FAULTS_OF_THE_SDK = {
  "inboxes.removeAgent": "DELETE inbox_members takes the inbox in its body, not in its path",
  "teams.listMembers": "the path lacks /api/v1",
  "teams.addAgent": "the path lacks /api/v1",
  "teams.updateAgentsInTeam": "the path lacks /api/v1",
  "teams.removeAgent": "the path lacks /api/v1",
};

const [, , address, token, account, platformToken] = process.argv;
const accountId = Number(account);
const called = new Set();

// The methods of a resource of a client, by name.
const methods = (resource) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).filter((n) => n !== "constructor");

// All resources of a client, by their path.
function resources(client) {
  const { client: visitors, platform, chatwootAPI, ...rest } = client;
  const below = (name, group) => Object.entries(group).map(([key, it]) => [`${name}.${key}`, it]);
  return [...Object.entries(rest), ...below("client", visitors), ...below("platform", platform)];
}

// A client that notes which of its methods are called.
function connect(token) {
  const client = new ChatwootClient({ config: { basePath: address, token } });
  for (const [path, resource] of resources(client)) {
    for (const name of methods(resource)) {
      const method = resource[name].bind(resource);
      resource[name] = (given) => {
        called.add(`${path}.${name}`);
        return method(given);
      };
    }
  }
  return client;
}

async function refused(status, call) {
  await assert.rejects(call, (error) => error instanceof ApiError && error.status === status);
}

const ids = (list) => list.map(({ id }) => id);

async function agents(sdk, me) {
  const data = { name: "Bob", email: "bob.figuro@example.com", role: "agent" };
  const bob = await sdk.agents.create({ accountId, data });
  assert.deepEqual([bob.name, bob.email, bob.role], [data.name, data.email, "agent"]);
  const role = "administrator";
  assert.equal((await sdk.agents.update({ accountId, id: bob.id, data: { role } })).role, role);
  assert.deepEqual(ids(await sdk.agents.list({ accountId })).sort(), [me.id, bob.id].sort());
  return bob;
}

async function bots(sdk, inbox) {
  const bot = await sdk.accountAgentBots.create({ accountId, data: { name: "Robo" } });
  const id = bot.id;
  const changed = { accountId, id, data: { name: "Robot", description: "Answers" } };
  assert.equal((await sdk.accountAgentBots.update(changed)).name, "Robot");
  assert.equal((await sdk.accountAgentBots.get({ accountId, id })).description, "Answers");
  assert.ok(ids(await sdk.accountAgentBots.list({ accountId })).includes(id));
  await sdk.inboxes.updateAgentBot({ accountId, id: inbox.id, data: { agent_bot: id } });
  const set = await sdk.inboxes.getAgentBot({ accountId, id: inbox.id });
  assert.equal(set.agent_bot.name, "Robot");
  await sdk.inboxes.updateAgentBot({ accountId, id: inbox.id, data: { agent_bot: null } });
  await sdk.accountAgentBots.delete({ accountId, id });
  await refused(404, sdk.accountAgentBots.get({ accountId, id }));
}

async function inboxes(sdk, me, bob) {
  const channel = { type: "web_widget", website_url: "https://www.example.com" };
  const site = await sdk.inboxes.create({ accountId, data: { name: "Site", channel } });
  assert.equal(site.website_url, channel.website_url);
  const data = { name: "Shop", enable_auto_assignment: false };
  const changed = await sdk.inboxes.update({ accountId, id: site.id, data });
  assert.deepEqual([changed.name, changed.enable_auto_assignment], ["Shop", false]);
  const api = { name: "Desk", channel: { type: "api", webhook_url: "" } };
  const made = await sdk.inboxes.create({ accountId, data: api });
  const desk = await sdk.inboxes.get({ accountId, id: made.id });
  assert.ok(desk.inbox_identifier);
  const { payload } = await sdk.inboxes.list({ accountId });
  assert.ok([site.id, desk.id].every((id) => ids(payload).includes(id)));

  const members = (user_ids) => ({ inbox_id: String(desk.id), user_ids });
  const here = { accountId, inboxId: desk.id };
  const listed = async () => ids((await sdk.inboxes.listAgents(here)).payload).sort();
  const added = await sdk.inboxes.addAgent({ accountId, data: members([me.id]) });
  assert.deepEqual(ids(added.payload), [me.id]);
  await sdk.inboxes.updateAgentsInInbox({ accountId, data: members([me.id, bob.id]) });
  assert.deepEqual(await listed(), [me.id, bob.id].sort());
  await refused(404, sdk.inboxes.removeAgent({ ...here, data: members([bob.id]) }));
  return desk;
}

async function teams(sdk, me) {
  const team = await sdk.teams.create({ accountId, data: { name: "Sales figuro" } });
  const teamId = team.id;
  const here = { accountId, teamId };
  await sdk.teams.update({ ...here, data: { description: "Sells" } });
  assert.equal((await sdk.teams.get(here)).description, "Sells");
  assert.ok(ids(await sdk.teams.list({ accountId })).includes(teamId));
  const data = { user_ids: [me.id] };
  await refused(404, sdk.teams.listMembers(here));
  for (const name of ["addAgent", "updateAgentsInTeam", "removeAgent"]) {
    await refused(404, sdk.teams[name]({ ...here, data }));
  }
  return team;
}

async function contacts(sdk, inbox) {
  const email = "vera.figuro@example.com";
  const data = { inbox_id: inbox.id, name: "Vera", email };
  const { contact, contact_inbox } = (await sdk.contacts.create({ accountId, data })).payload;
  const id = contact.id;
  assert.equal(contact.email, email);
  await sdk.contacts.update({ accountId, id, data: { phone_number: "+49301234567" } });
  assert.equal((await sdk.contacts.get({ accountId, id })).payload.phone_number, "+49301234567");
  assert.ok(ids((await sdk.contacts.list({ accountId, sort: "-name" })).payload).includes(id));
  assert.deepEqual(ids((await sdk.contacts.search({ accountId, q: email })).payload), [id]);
  const filter = [{ attribute_key: "email", filter_operator: "equal_to", values: [email] }];
  assert.deepEqual(ids((await sdk.contacts.filter({ accountId, payload: filter })).payload), [id]);
  const another = { inbox_id: inbox.id, source_id: "figuro-1" };
  const reached = await sdk.contact.create({ accountId, id, data: another });
  assert.equal(reached.source_id, "figuro-1");
  const ways = (await sdk.contact.getContactable({ accountId, id })).payload;
  assert.equal(ways.find((way) => way.inbox.id === inbox.id).source_id, "figuro-1");
  return { contact, source_id: contact_inbox.source_id };
}

async function conversations(sdk, me, inbox, team, { contact, source_id }) {
  const data = { source_id, inbox_id: String(inbox.id), contact_id: String(contact.id) };
  const made = await sdk.conversations.create({ accountId, data });
  const conversationId = made.id;
  const here = { accountId, conversationId };
  assert.deepEqual([made.account_id, made.inbox_id], [accountId, inbox.id]);

  const assign = (data) => sdk.conversationAssignment.assign({ ...here, data });
  assert.equal((await assign({ team_id: team.id })).id, team.id);
  assert.equal((await assign({ assignee_id: me.id })).id, me.id);
  const shown = await sdk.conversations.get(here);
  assert.deepEqual([shown.meta.assignee.id, shown.meta.team.id], [me.id, team.id]);

  const labels = ["bug", "vip"];
  const added = await sdk.conversationLabels.add({ ...here, data: { labels } });
  assert.deepEqual(added.payload.sort(), labels);
  assert.deepEqual((await sdk.conversationLabels.list(here)).payload.sort(), labels);

  const some = { accountId, inboxId: inbox.id, labels: ["bug"] };
  const listed = await sdk.conversations.list({ ...some, assigneeType: "me", status: "open" });
  assert.deepEqual(ids(listed.data.payload), [conversationId]);
  const { meta } = await sdk.conversations.getMeta({ ...some, status: "open" });
  assert.deepEqual([meta.mine_count, meta.unassigned_count, meta.all_count], [1, 0, 1]);
  const filter = [{ attribute_key: "inbox_id", filter_operator: "equal_to", values: [inbox.id] }];
  const found = await sdk.conversations.filter({ accountId, payload: filter });
  assert.deepEqual(ids(found.payload), [conversationId]);
  const theirs = await sdk.contacts.listConversations({ accountId, id: contact.id });
  assert.deepEqual(ids(theirs.payload), [conversationId]);

  const toggle = (status) => sdk.conversations.toggleStatus({ ...here, data: { status } });
  assert.equal((await toggle("resolved")).payload.current_status, "resolved");
  assert.equal((await toggle("open")).payload.current_status, "open");
  return here;
}

async function messages(sdk, here) {
  const said = await sdk.messages.create({ ...here, data: { content: "Good day" } });
  assert.deepEqual([said.content, said.message_type], ["Good day", 1]);
  const attachments = [{ content: Buffer.from("Hello"), filename: "hello.txt" }];
  const file = await sdk.messages.create({ ...here, data: { content: "A file", attachments } });
  assert.deepEqual([file.content, file.attachments[0].file_size], ["A file", 5]);
  const listed = async () => (await sdk.messages.list(here)).payload;
  const there = ids(await listed());
  assert.ok(there.includes(said.id) && there.includes(file.id));
  const received = { ...here, messageId: said.id, data: { status: "delivered" } };
  assert.equal((await sdk.messages.update(received)).status, "delivered");
  await sdk.messages.delete({ ...here, messageId: file.id });
  const gone = (await listed()).find(({ id }) => id === file.id);
  assert.equal(gone.content_attributes.deleted, true);
}

async function settings(sdk) {
  const canned = { short_code: "hi", content: "Hello" };
  const { id } = await sdk.cannedResponses.create({ accountId, data: canned });
  const changed = { accountId, id, data: { ...canned, content: "Good day" } };
  assert.equal((await sdk.cannedResponses.update(changed)).content, "Good day");
  assert.ok(ids(await sdk.cannedResponses.list({ accountId })).includes(id));
  await sdk.cannedResponses.delete({ accountId, id });
  assert.ok(!ids(await sdk.cannedResponses.list({ accountId })).includes(id));

  const attribute = {
    attribute_display_name: "Plan",
    attribute_display_type: 0,
    attribute_description: "What they pay for",
    attribute_key: "plan_figuro",
    attribute_model: 1,
  };
  const made = await sdk.customAttributes.create({ accountId, data: attribute });
  const one = { accountId, id: made.id };
  await sdk.customAttributes.update({ ...one, data: { attribute_display_name: "The plan" } });
  assert.equal((await sdk.customAttributes.get(one)).attribute_display_name, "The plan");
  const attributes = await sdk.customAttributes.list({ accountId, attributeModel: "1" });
  assert.ok(ids(attributes).includes(made.id));
  await sdk.customAttributes.delete(one);
  await refused(404, sdk.customAttributes.get(one));

  const payload = [{ attribute_key: "status", filter_operator: "equal_to", values: ["open"] }];
  const filter = { name: "Open", type: "conversation", query: { payload } };
  const { id: customFilterId } = await sdk.customFilters.create({ accountId, data: filter });
  const saved = { accountId, customFilterId };
  await sdk.customFilters.update({ ...saved, data: { ...filter, name: "What is open" } });
  assert.equal((await sdk.customFilters.get(saved)).name, "What is open");
  const filters = await sdk.customFilters.list({ accountId, filterType: "conversation" });
  assert.ok(ids(filters).includes(customFilterId));
  await sdk.customFilters.delete(saved);
  await refused(404, sdk.customFilters.get(saved));
}

async function platform(app, user) {
  const { accounts, accountUsers, agentBots, users } = app.platform;
  const made = await accounts.create({ data: { name: "Figuro" } });
  const here = { accountId: made.id };
  await accounts.update({ ...here, data: { name: "Figuro & Co" } });
  assert.equal((await accounts.get(here)).name, "Figuro & Co");

  const person = { name: "Eve", email: "eve.figuro@example.com", password: "Passw0rd!23" };
  const { id } = await users.create({ data: person });
  await users.update({ id, data: { name: "Eva" } });
  const shown = await users.get({ id });
  assert.deepEqual([shown.name, shown.email], ["Eva", person.email]);
  const { url } = await users.getSSOUrl({ id });
  assert.ok(url.startsWith(`${address}/app/login?`), url);
  const same = app.users;
  assert.equal((await same.get({ id })).name, "Eva");

  await accountUsers.create({ ...here, data: { user_id: id, role: "agent" } });
  const members = await accountUsers.list(here);
  assert.deepEqual(
    members.map(({ account_id, user_id, role }) => [account_id, user_id, role]),
    [[made.id, id, "agent"]],
  );
  await accountUsers.delete({ ...here, data: { user_id: id } });
  assert.deepEqual(await accountUsers.list(here), []);

  const bot = await agentBots.create({ data: { name: "Figuro's robot" } });
  await agentBots.update({ id: bot.id, data: { description: "Answers" } });
  assert.equal((await agentBots.get({ id: bot.id })).description, "Answers");
  assert.ok(ids(await agentBots.list()).includes(bot.id));
  await agentBots.delete({ id: bot.id });
  await refused(404, agentBots.get({ id: bot.id }));

  // An agent is no platform app.
  await refused(401, user.platform.accounts.get(here));
  await users.delete({ id });
  await accounts.delete(here);
}

async function visitor(sdk, inbox) {
  const { contacts, conversations, messages } = sdk.client;
  const inboxIdentifier = inbox.inbox_identifier;
  const made = await contacts.create({ inboxIdentifier, data: { name: "Wanda" } });
  assert.ok(made.pubsub_token);
  const here = { inboxIdentifier, contactIdentifier: made.source_id };
  await contacts.update({ ...here, data: { name: "Wanda W." } });
  assert.equal((await contacts.get(here)).name, "Wanda W.");
  const opened = await conversations.create(here);
  assert.deepEqual(ids(await conversations.list(here)), [opened.id]);
  const there = { ...here, conversationId: opened.id };
  const said = await messages.create({ ...there, data: { content: "Hello" } });
  assert.deepEqual([said.content, said.message_type], ["Hello", 0]);
  assert.deepEqual(ids(await messages.list(there)), [said.id]);
  return { there, opened };
}

// An answer to a form of the agent's is what visitors change messages for.
async function form(sdk, { there, opened }) {
  const items = [{ title: "Yes", value: "yes" }, { title: "No", value: "no" }];
  const asked = await sdk.messages.create({
    accountId,
    conversationId: opened.id,
    data: { content: "Well?", content_type: "input_select", content_attributes: { items } },
  });
  const submitted_values = { title: "Yes", value: "yes" };
  const data = { submitted_values };
  const answered = await sdk.client.messages.update({ ...there, messageId: asked.id, data });
  assert.equal(answered.id, asked.id);
}

async function main() {
  const sdk = connect(token);
  const me = await sdk.profile.profile();
  assert.equal(me.account_id, accountId);
  await refused(401, connect("guessed").profile.profile());

  const bob = await agents(sdk, me);
  const inbox = await inboxes(sdk, me, bob);
  await bots(sdk, inbox);
  const team = await teams(sdk, me);
  const known = await contacts(sdk, inbox);
  const here = await conversations(sdk, me, inbox, team, known);
  await messages(sdk, here);
  await settings(sdk);
  await platform(connect(platformToken), sdk);
  await form(sdk, await visitor(connect(undefined), inbox));

  await sdk.contacts.delete({ accountId, id: known.contact.id });
  await refused(404, sdk.contacts.get({ accountId, id: known.contact.id }));
  await sdk.teams.delete({ accountId, teamId: team.id });
  await refused(404, sdk.teams.get({ accountId, teamId: team.id }));
  await sdk.agents.delete({ accountId, id: bob.id });
  assert.deepEqual(ids(await sdk.agents.list({ accountId })), [me.id]);

  assert.deepEqual((await sdk.integrations.list({ accountId })).payload, []);
  assert.deepEqual((await sdk.webhooks.list({ accountId })).payload.webhooks, []);
  assert.deepEqual((await sdk.automationRule.list({ accountId })).payload, []);
  const report = { accountId, metric: "conversations_count", type: "account" };
  assert.deepEqual(await sdk.reports.list(report), []);
  for (const [resource, names] of Object.entries(NOT_THERE_YET)) {
    for (const name of names) {
      await refused(404, sdk[resource][name]({ accountId, id: 1, hookId: 1, webhookId: 1, data: {} }));
    }
  }

  // `users` and `agentBots` are those of `platform` once more.
  const there = resources(sdk)
    .filter(([path]) => path !== "users" && path !== "agentBots")
    .flatMap(([path, resource]) => methods(resource).map((name) => `${path}.${name}`));
  const missed = there.filter((path) => !called.has(path));
  assert.deepEqual(missed, [], "not called");
  assert.ok(Object.keys(FAULTS_OF_THE_SDK).every((path) => called.has(path)));
  process.stdout.write(`${there.length} methods\n`);
}

main();
