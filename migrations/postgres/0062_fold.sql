-- fold(text): the text in lower case, whatever its script. Texts are of collation "C", whose lower() knows ASCII alone.
create function fold(said text) returns text language sql immutable strict parallel safe
    return lower(said collate "und-x-icu");
