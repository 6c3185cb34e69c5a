"""Runs every method of PyPI's `chatwoot-sdk`, of its blocking and of its asynchronous client.

    python chatwoot_sdk.py ADDRESS TOKEN ACCOUNT

The token is an administrator's. Ends with status 0 when every method
was called and gave what it promises.
"""

import asyncio
import inspect
import sys

from chatwoot import AsyncChatwootClient, ChatwootAuthError, ChatwootClient, ChatwootNotFoundError
from chatwoot.resources._base import AsyncBaseResource, BaseResource
from chatwoot.types import AgentRole, ConversationPriority, ConversationStatus

# What the SDK itself gets wrong with any Chatwoot, the original included. The methods are called
# all the same, and must fail or fall short in just this way.
FAULTS_OF_THE_SDK = {
    "agents.get": "there is no GET agents/:id",
    "messages.update": "PATCH messages/:id lacks the conversation in its path",
    "messages.delete": "DELETE messages/:id lacks the conversation in its path",
    "conversations.assign": "PATCH conversations/:id takes a priority, not an assignee",
    "inboxes.agents.list": "looks for `payload` in what its HTTP layer has unwrapped: always empty",
    "inboxes.agents.add": "as inboxes.agents.list; the members are added all the same",
    "inboxes.agents.update": "as inboxes.agents.list; the members are replaced all the same",
    "messages.create": "does not send `attachments`",
}

# Methods for what the server does not have yet: none. The SDK has no methods for accounts, for the
# platform, for the public API and for the labels of an account.
NOT_TRIED = {}


class Tried:
    """A client whose methods are awaited whichever kind it is, and noted."""

    def __init__(self, resource, calls, path=""):
        self._resource, self._calls, self._path = resource, calls, path

    def __getattr__(self, name):
        member, path = getattr(self._resource, name), f"{self._path}.{name}".lstrip(".")
        if not callable(member):
            return Tried(member, self._calls, path)

        async def call(*arguments, **named):
            self._calls.add(path)
            answer = member(*arguments, **named)
            return await answer if inspect.isawaitable(answer) else answer

        return call


def methods(resource, path=""):
    """The paths of all methods below a client."""
    for name, member in inspect.getmembers(resource):
        if name.startswith("_"):
            continue
        below = f"{path}.{name}".lstrip(".")
        if isinstance(member, (BaseResource, AsyncBaseResource)):
            yield from methods(member, below)
        elif path and inspect.ismethod(member):
            yield below


async def refused(call, error):
    try:
        answer = await call
    except error as refusal:
        return refusal
    raise AssertionError(f"{answer!r} instead of {error.__name__}")


async def profile_and_agents(client, account, who):
    me = await client.profile.get()
    assert me.account_id == account and me.role is AgentRole.ADMINISTRATOR
    assert [(a.id, a.role) for a in me.accounts] == [(account, AgentRole.ADMINISTRATOR)]

    added = await client.agents.add(account, "Bob", f"bob.{who}@example.com", "agent")
    assert (added.name, added.role, added.confirmed) == ("Bob", AgentRole.AGENT, False)
    changed = await client.agents.update(account, added.id, name="Bo", role="administrator")
    assert (changed.id, changed.name, changed.role) == (added.id, "Bo", AgentRole.ADMINISTRATOR)
    listed = {agent.id: agent for agent in await client.agents.list(account)}
    assert listed[added.id].name == "Bo" and listed[me.id].email == me.email
    await refused(client.agents.get(account, added.id), ChatwootNotFoundError)
    return me, changed


async def inboxes(client, account, me, agent):
    api = await client.inboxes.create(account, "Desk", "api", webhook_url="")
    assert (api.name, api.channel_type) == ("Desk", "Channel::Api")
    web = await client.inboxes.create(
        account, "Site", "web_widget", website_url="https://www.example.com", widget_color="#112233"
    )
    assert (web.website_url, web.widget_color) == ("https://www.example.com", "#112233")
    assert web.web_widget_script and "<script>" in web.web_widget_script
    changed = await client.inboxes.update(
        account, api.id, name="Front desk", greeting_enabled=True, greeting_message="Hello"
    )
    assert (changed.name, changed.greeting_message) == ("Front desk", "Hello")
    read = await client.inboxes.get(account, api.id)
    assert read == changed
    listed = [inbox.id for inbox in await client.inboxes.list(account)]
    assert {api.id, web.id} <= set(listed) and len(listed) == len(set(listed))
    await client.inboxes.update(account, api.id, greeting_enabled=False)

    bot = await client._http.post(f"/api/v1/accounts/{account}/agent_bots", json={"name": "Robo"})
    await client.inboxes.set_agent_bot(account, api.id, bot["id"])
    set_bot = await client.inboxes.get_agent_bot(account, api.id)
    assert set_bot["agent_bot"]["name"] == "Robo"
    await client.inboxes.set_agent_bot(account, api.id, None)
    assert await client.inboxes.get_agent_bot(account, api.id) == {}

    async def members():
        found = await client._http.get(f"/api/v1/accounts/{account}/inbox_members/{api.id}")
        return {member["id"] for member in found}

    assert await client.inboxes.agents.add(account, api.id, [me.id]) == []
    assert await members() == {me.id}
    assert await client.inboxes.agents.update(account, api.id, [me.id, agent.id]) == []
    assert await members() == {me.id, agent.id}
    await client.inboxes.agents.remove(account, api.id, [agent.id])
    assert await members() == {me.id}
    assert await client.inboxes.agents.list(account, api.id) == []
    return api


async def teams(client, account, me, who):
    team = await client.teams.create(account, f"Sales {who}", description="Sells")
    assert (team.name, team.description, team.account_id) == (f"sales {who}", "Sells", account)
    changed = await client.teams.update(account, team.id, description="Sells much")
    assert await client.teams.get(account, team.id) == changed
    assert changed in await client.teams.list(account)
    await client.teams.agents.add(account, team.id, [me.id])
    assert [member.id for member in await client.teams.agents.list(account, team.id)] == [me.id]
    await client.teams.agents.remove(account, team.id, [me.id])
    assert await client.teams.agents.list(account, team.id) == []
    await client.teams.delete(account, team.id)
    await refused(client.teams.get(account, team.id), ChatwootNotFoundError)


async def contacts(client, account, inbox, who):
    email = f"vera.{who}@example.com"
    made = await client.contacts.create(account, inbox.id, name="Vera", email=email)
    vera = made.contact
    assert (vera.name, vera.email) == ("Vera", email) and made.contact_inbox.source_id
    changed = await client.contacts.update(
        account, vera.id, phone_number=f"+4930123{vera.id:04}", custom_attributes={"plan": "gold"}
    )
    assert changed.custom_attributes == {"plan": "gold"}
    read = await client.contacts.get(account, vera.id)
    assert (read.id, read.phone_number) == (vera.id, changed.phone_number)
    assert vera.id in [contact.id for contact in await client.contacts.list(account)]
    assert [contact.id for contact in await client.contacts.search(account, email)] == [vera.id]
    assert await client.contacts.labels.add(account, vera.id, ["vip", "gold"]) == ["vip", "gold"]
    assert sorted(await client.contacts.labels.list(account, vera.id)) == ["gold", "vip"]
    reachable = await client.contacts.contactable_inboxes(account, vera.id)
    assert made.contact_inbox.source_id in [inbox["source_id"] for inbox in reachable]

    other = await client.contacts.create(account, inbox.id, name="Vera again", identifier=f"v.{who}")
    kept = await client.contacts.merge(account, vera.id, other.contact.id)
    assert (kept.id, kept.email, kept.identifier) == (vera.id, email, f"v.{who}")
    await refused(client.contacts.get(account, other.contact.id), ChatwootNotFoundError)
    return made


async def conversations(client, account, me, inbox, made):
    vera = made.contact
    new = await client.conversations.create(
        account, made.contact_inbox.source_id, inbox.id, vera.id, status="pending"
    )
    assert (new.inbox_id, new.status) == (inbox.id, ConversationStatus.PENDING)
    assert new.meta.sender.id == vera.id
    toggled = await client.conversations.toggle_status(account, new.id, "open")
    assert toggled.success and toggled.current_status is ConversationStatus.OPEN
    changed = await client.conversations.update(account, new.id, priority="high")
    assert changed.priority is ConversationPriority.HIGH
    assigned = await client.conversations.assign(account, new.id, me.id)
    assert assigned.id == new.id and assigned.meta.assignee is None

    assert await client.conversations.labels.add(account, new.id, ["bug"]) == ["bug"]
    assert await client.conversations.labels.list(account, new.id) == ["bug"]
    listed = await client.conversations.list(account, inbox_id=inbox.id, labels=["bug"])
    assert [(c.id, c.labels) for c in listed] == [(new.id, ["bug"])]
    assert await client.conversations.list(account, status="resolved", inbox_id=inbox.id) == []
    read = await client.conversations.get(account, new.id)
    assert (read.priority, read.labels) == (ConversationPriority.HIGH, ["bug"])
    assert [c.id for c in await client.contacts.conversations(account, vera.id)] == [new.id]
    counts = (await client.conversations.get_counts(account, inbox_id=inbox.id))["meta"]
    assert (counts["all_count"], counts["unassigned_count"]) == (1, 1)
    return new


async def messages(client, account, me, conversation):
    said = await client.messages.create(account, conversation.id, "Good day")
    assert (said.content, said.message_type, said.sender.id) == ("Good day", 1, me.id)
    note = await client.messages.create(account, conversation.id, "VIP", private=True)
    heard = await client.messages.create(
        account, conversation.id, "Hello?", message_type="incoming", attachments=["lost.txt"]
    )
    assert note.private and heard.message_type == 0 and heard.attachments == []
    listed = await client.messages.list(account, conversation.id)
    written = [message.content for message in listed if message.message_type in (0, 1)]
    assert written == ["Good day", "VIP", "Hello?"]
    await refused(client.messages.update(account, said.id, "Good evening"), ChatwootNotFoundError)
    await refused(client.messages.delete(account, said.id), ChatwootNotFoundError)


async def everything(client, stranger, account, who):
    calls = set()
    tried = Tried(client, calls)
    tried._http = Tried(client._http, set())
    me, agent = await profile_and_agents(tried, account, who)
    inbox = await inboxes(tried, account, me, agent)
    await teams(tried, account, me, who)
    made = await contacts(tried, account, inbox, who)
    conversation = await conversations(tried, account, me, inbox, made)
    await messages(tried, account, me, conversation)

    await tried.contacts.delete(account, made.contact.id)
    await refused(tried.contacts.get(account, made.contact.id), ChatwootNotFoundError)
    await tried.agents.remove(account, agent.id)
    assert agent.id not in [other.id for other in await tried.agents.list(account)]
    refusal = await refused(Tried(stranger, set()).profile.get(), ChatwootAuthError)
    assert refusal.status_code == 401

    there = set(methods(client))
    assert not (missed := there - calls - NOT_TRIED.keys()), f"not called: {sorted(missed)}"
    assert FAULTS_OF_THE_SDK.keys() <= calls, "a fault of a method that is not called"
    return len(calls)


async def main(address, token, account):
    with ChatwootClient(address, token) as client, ChatwootClient(address, "guessed") as stranger:
        blocking = await everything(client, stranger, int(account), "blocking")
    async with AsyncChatwootClient(address, token) as client:
        async with AsyncChatwootClient(address, "guessed") as stranger:
            waiting = await everything(client, stranger, int(account), "asynchronous")
    print(f"{blocking} methods of the blocking client, {waiting} of the asynchronous one")


asyncio.run(main(*sys.argv[1:]))
