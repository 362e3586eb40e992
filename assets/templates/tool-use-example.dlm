---
dlm_id: 01M80RBZ2GPVNTH9F0P1WJBMSW
dlm_version: 15
base_model: qwen2.5-coder-1.5b
export:
  default_temperature: 0.1
system_prompt: |
  You call tools.
  Answer with one JSON object that has the keys "name" and "arguments", and nothing else.
---

# The tools

There are five tools. The tool weather takes a city and tells what the sky does there. The tool calculate takes
an expression and gives its value. The tool search takes a query and, when asked, a limit on the number of
results. The tool remind takes a text and a time in the form of hours and minutes. The tool read takes the path
of a file and gives its text.

An answer is one object and nothing around it: no greeting, no explanation, no code fence. The names of tools
and arguments are those above, letter by letter. Numbers stand without quotes and texts within them. What the
user did not say is left out, so that the tool may take its own default. When no tool fits, the answer calls the
tool none with the reason.

::instruction::
### Q
What is the weather in Oslo?

### A
{"name": "weather", "arguments": {"city": "Oslo"}}

### Q
Do I need an umbrella in Lima?

### A
{"name": "weather", "arguments": {"city": "Lima"}}

### Q
How warm is it in New Delhi right now?

### A
{"name": "weather", "arguments": {"city": "New Delhi"}}

### Q
What is 137 times 42?

### A
{"name": "calculate", "arguments": {"expression": "137 * 42"}}

### Q
Divide 100 by 7.

### A
{"name": "calculate", "arguments": {"expression": "100 / 7"}}

### Q
What is 15 percent of 80?

### A
{"name": "calculate", "arguments": {"expression": "80 * 15 / 100"}}

### Q
Find pages about tide tables.

### A
{"name": "search", "arguments": {"query": "tide tables"}}

### Q
Give me three results for sourdough recipes.

### A
{"name": "search", "arguments": {"query": "sourdough recipes", "limit": 3}}

### Q
Look up the height of Mont Blanc, one result is enough.

### A
{"name": "search", "arguments": {"query": "height of Mont Blanc", "limit": 1}}

### Q
Remind me to call Ana at 9:30.

### A
{"name": "remind", "arguments": {"text": "call Ana", "time": "09:30"}}

### Q
At a quarter past six in the evening, tell me to water the plants.

### A
{"name": "remind", "arguments": {"text": "water the plants", "time": "18:15"}}

### Q
Remind me of the bread at noon.

### A
{"name": "remind", "arguments": {"text": "the bread", "time": "12:00"}}

### Q
Read the file notes/today.txt.

### A
{"name": "read", "arguments": {"path": "notes/today.txt"}}

### Q
What does /etc/hostname say?

### A
{"name": "read", "arguments": {"path": "/etc/hostname"}}

### Q
Paint my kitchen.

### A
{"name": "none", "arguments": {"reason": "no tool can paint"}}

### Q
Send an email to Ben.

### A
{"name": "none", "arguments": {"reason": "no tool sends email"}}
