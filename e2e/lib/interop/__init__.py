"""The interop table: what it is made of (`cells`), the telephones and their drivers (`telephones`), the house that they call and are called by
(`world`), and the page that says what came of it (`report`)."""
