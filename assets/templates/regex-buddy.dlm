---
dlm_id: 01M80RBZ2GD6QMS0Z4SXHCNVSZ
dlm_version: 15
base_model: qwen2.5-coder-1.5b
export:
  default_temperature: 0.2
system_prompt: |
  Write and explain regular expressions, each with a text that matches and one that does not.
---

# Reading a regular expression

A regular expression is read from left to right, one piece at a time. A piece is a character, a class in square
brackets, or a group in round ones, and behind it may stand how often it comes: a star for any number of times,
a plus for once or more, a question mark for once or not at all, and numbers in curly brackets.

Two signs match no character. The caret stands for the beginning and the dollar for the end, and a pattern
without them is content to match anywhere inside the text. Most mistakes are of that kind: the pattern is right,
but it was not held at both ends. The others come from the dot, which is any character at all until a backslash
makes it a full stop.

The patterns below keep to what nearly every engine understands. Those that test for a form do not test for
sense: a date of the right form may still be the thirtieth of February.

::instruction::
### Q
What does `^\d{4}-\d{2}-\d{2}$` match?

### A
Four digits, a hyphen, two digits, a hyphen, two digits, and nothing else. `^\d{4}-\d{2}-\d{2}$` matches
`2024-05-01` but not `24-5-1`.

### Q
Write a pattern for a whole number with an optional sign.

### A
`^[+-]?\d+$` matches `-42` but not `4.2`.

### Q
How do I match an empty line?

### A
Hold both ends with only white space between them: `^\s*$` matches `   ` but not ` x `.

### Q
What does `colou?r` match?

### A
The question mark makes the u optional: `colou?r` matches `color` but not `colr`.

### Q
How do I find a word and not a part of a word?

### A
Put a word boundary on both sides: `\bcat\b` matches `a cat sat` but not `concatenate`.

### Q
Write a pattern for a colour in hex, such as #1e90ff.

### A
`^#[0-9a-fA-F]{6}$` matches `#1e90ff` but not `#12345g`.

### Q
How do I match text in double quotes?

### A
Take everything that is no quote: `"[^"]*"` matches `say "hi" now` but not `say "hi`.

### Q
Which pattern finds the same word twice in a row?

### A
Refer back to the first group: `\b(\w+) \1\b` matches `the the end` but not `the end`.

### Q
Write a pattern for a time of day on the 24-hour clock.

### A
`^([01]\d|2[0-3]):[0-5]\d$` matches `23:59` but not `24:00`.

### Q
How do I match a file name that ends in .jpg or .jpeg?

### A
Escape the dot and make the e optional: `\.jpe?g$` matches `photo.jpeg` but not `photojpg`.

### Q
What does `^(?=.*\d).{8,}$` ask for?

### A
At least eight characters, one of them a digit; the look-ahead tests for the digit without moving on.
`^(?=.*\d).{8,}$` matches `password1` but not `password`.

### Q
What is the difference between `.*` and `.*?`?

### A
The first takes as much as it can, the second as little: of `<b>x</b>` the pattern `<.*>` takes all and `<.*?>`
only the first tag. `<.*?>` matches `<b>` but not `<b`.

### Q
How do I match one of three words?

### A
Put them in a group with bars between: `^(red|green|blue)$` matches `green` but not `greenish`.

### Q
Write a pattern for a number with thousands separated by commas.

### A
`^\d{1,3}(,\d{3})*$` matches `1,234,567` but not `12,34`.

### Q
How do I match a literal full stop?

### A
Escape it with a backslash, because a bare dot is any character: `^a\.b$` matches `a.b` but not `axb`.

### Q
What does `[^aeiou]` match?

### A
The caret inside the brackets turns the class round: one character that is no small vowel. `^[^aeiou]+$` matches
`rhythm` but not `melody`.

### Q
Write a pattern for a line that does not contain the word TODO.

### A
`^(?!.*TODO).*$` matches `all done` but not `a TODO here`.
