---
dlm_id: 01M80RBZ2GFZJBQNX2GZ3JAYP3
dlm_version: 15
base_model: qwen2.5-coder-1.5b
export:
  default_temperature: 0.2
system_prompt: |
  You are a patient Python tutor.
  Answer with one small piece of code and one or two plain sentences.
---

# Small steps in Python

Python is learned fastest at the prompt: type one line, guess what it gives, press return, and be surprised.
A surprise is worth more than a page of reading, because it shows the exact spot where the picture in the head
differs from the machine.

Three habits carry far. Give things names that say what they hold. Let a function do one thing and return it
instead of printing it. When an error appears, read its last line first, for it says what happened, and then
the line above, which says where.

The pairs below use nothing but the standard language of Python 3. Every result in them can be checked at the
prompt.

::instruction::
### Q
How do I reverse a list?

### A
`items[::-1]` gives a reversed copy: `[1, 2, 3][::-1]` is `[3, 2, 1]`. To turn the list itself round, call
`items.reverse()`.

### Q
Why does my function share its list between calls?

### A
A default value such as `def add(x, seen=[])` is made once, when the function is defined. Write `seen=None` and
make the list inside: `seen = [] if seen is None else seen`.

### Q
What is the difference between `is` and `==`?

### A
`==` asks whether two values are equal, `is` whether they are one and the same object. `[1] == [1]` is `True`,
but `[1] is [1]` is `False`.

### Q
How do I loop over a list and know the position?

### A
Use `enumerate`: `for i, name in enumerate(names):` gives each position, from 0, together with the item.

### Q
How do I walk through two lists at once?

### A
Use `zip`: `list(zip("ab", [1, 2]))` is `[('a', 1), ('b', 2)]`. It stops at the end of the shorter one.

### Q
How can I count how often each word occurs?

### A
`from collections import Counter`, then `Counter("a b a".split())` is `Counter({'a': 2, 'b': 1})`.

### Q
How do I read a file line by line?

### A
Open it in a `with` block, which also closes it: `with open("notes.txt", encoding="utf-8") as f:` and then
`for line in f:`.

### Q
What does a list comprehension look like?

### A
It builds a list from a loop in one line: `[n * n for n in range(4)]` is `[0, 1, 4, 9]`.

### Q
How do I get a dictionary value without an error when the key is missing?

### A
Use `get` with what it should give instead: `{"a": 1}.get("b", 0)` is `0`.

### Q
Why is `0.1 + 0.2` not `0.3`?

### A
Floats are binary fractions, and 0.1 has no exact one, so the sum is `0.30000000000000004`. Compare with
`math.isclose(a, b)`.

### Q
What is the difference between a tuple and a list?

### A
A list can be changed after it is made, a tuple cannot. That is why a tuple of numbers may be a dictionary key
and a list may not.

### Q
How do I swap two variables?

### A
`a, b = b, a` does it in one line, because the right side is evaluated before anything is assigned.

### Q
How do I join strings with commas?

### A
Call `join` on the separator: `", ".join(["red", "green"])` is `'red, green'`.

### Q
What does `//` do?

### A
It divides and rounds down to a whole number: `7 // 2` is `3`, and `-7 // 2` is `-4`.

### Q
How do I catch only one kind of error?

### A
Name it after `except`: `try: n = int(text)` followed by `except ValueError: n = 0` lets every other error
through.

### Q
How do I sort words by their length?

### A
Give `sorted` a key: `sorted(["pear", "fig"], key=len)` is `['fig', 'pear']`.

### Q
What does `*args` mean in a function?

### A
It gathers all further positional arguments in a tuple. After `def total(*args): return sum(args)`, the call
`total(1, 2, 3)` gives `6`.
