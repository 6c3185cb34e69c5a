//! What people of the demo are called and say.

/// Agents: name, and the local part of the address.
pub(super) const AGENTS: [(&str, &str); 4] = [
    ("Grace Hopper", "grace"),
    ("Alan Kay", "alan"),
    ("Katherine Johnson", "katherine"),
    ("Edsger Bakker", "edsger"),
];

/// Given names of contacts.
pub(super) const GIVEN: [&str; 20] = [
    "Vera", "Otto", "Mina", "Liam", "Noor", "Emil", "Sofia", "Kenji", "Amara", "Jonas", "Leila",
    "Mateo", "Ines", "Tariq", "Freya", "Pavel", "Chloe", "Rahul", "Zoe", "Bruno",
];

/// Family names of contacts.
pub(super) const FAMILY: [&str; 16] = [
    "Visser", "Okafor", "Lindgren", "Moreau", "Tanaka", "Haddad", "Novak", "Silva", "Keller",
    "Osei", "Brandt", "Costa", "Murphy", "Petrov", "Sato", "Weiss",
];

/// What a conversation is about: what the contact writes, what the agent answers, what the contact says to it.
pub(super) const TALKS: [(&str, &str, &str); 12] = [
    (
        "My order has not come yet. Could you look where it is?",
        "It left our warehouse this morning and should be with you tomorrow.",
        "Wonderful, thank you!",
    ),
    (
        "The lamp flickers since yesterday.",
        "I am sorry. Could you try another bulb? If it still flickers we send you a new one.",
        "A new bulb did it. Thanks!",
    ),
    (
        "Can I change the delivery address of order 10482?",
        "Of course, I have changed it. You get a mail to confirm it.",
        "Got it.",
    ),
    (
        "Do you ship to Norway?",
        "We do: five working days, and duties are included in the price.",
        "Great, I will order then.",
    ),
    (
        "I was charged twice.",
        "I see both charges; the second is refunded and takes two or three days.",
        "Thanks for the quick help.",
    ),
    (
        "How do I reset my password?",
        "Choose «forgot password» at the sign-in; the mail comes within a minute.",
        "It was in the spam folder. All good.",
    ),
    (
        "The blue one is out of stock, when will it be back?",
        "Next Tuesday. Shall I tell you when it is?",
        "Yes please!",
    ),
    (
        "Your invoice lacks our VAT number.",
        "Here is a corrected one. I have noted the number for the next time.",
        "Perfect.",
    ),
    (
        "The app crashes when I open my cart.",
        "Which version do you have? 3.2 has a fix for that.",
        "Updating helped.",
    ),
    (
        "I would like to return the chair.",
        "No problem, here is the label. The refund comes once it has arrived.",
        "Sent it today.",
    ),
    (
        "Is there a discount for schools?",
        "There is: 20 % on everything. I only need the school's address.",
        "I will send it tomorrow.",
    ),
    (
        "My parcel came damaged.",
        "I am sorry about that! A photo is enough, a new one leaves today.",
        "That is very kind.",
    ),
];

/// Notes that agents write to each other.
pub(super) const NOTES: [&str; 4] = [
    "Courier confirmed the delay.",
    "Third time this month, let us look into it.",
    "Refund is booked.",
    "Waits for the photo.",
];
