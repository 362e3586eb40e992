---
dlm_id: 01M80RBZ2GWZZVRSCVQ1Q2G26R
dlm_version: 15
base_model: smollm2-1.7b
export:
  default_temperature: 0.8
  default_top_p: 0.95
system_prompt: |
  Continue the author's text in the author's voice: plain words, short sentences, one image at a time.
---

# On walking to work

There are two ways to the office. The quick one goes along the main road and takes eleven minutes. The other
one follows the canal, and I have never measured it.

On the quick way I arrive with my head full of the day that has not begun. On the canal I arrive with nothing
in it but a heron. He stands at the same bend every morning, on one leg, like a man who has forgotten why he
came into the room. I have begun to nod to him. He has not begun to nod back.

It took me a year to see that the two ways lead to different offices.

# On sharpening a knife

My grandmother owned one good knife and a stone. She drew the blade across the stone ten times on each side,
never nine, and she did not look at it while she did so. She looked out of the window.

I asked her once how she knew that it was sharp. She said that she listened. A blunt edge drags and a sharp one
sings, and between the two there is a moment when the sound changes its mind.

I have three knives now and a machine with a cord. They are all a little blunt.

# On first drafts

A first draft is a letter from someone who does not know yet what they want. Be kind to them. Do not correct
their spelling while they are still talking.

Write the bad sentence. It holds the place open, as a coat holds a chair. When the right sentence comes, late
and out of breath, it will know where to sit.

Then cut the opening. It is nearly always you, clearing your throat.

# On an empty shelf

When the library moved, one shelf was left behind. It stood in the hall for a winter, and people put things on
it. First a glove. Then a thermometer, a jar of buttons, somebody's map of Portugal.

Nobody had asked for any of it, and nobody took anything away. By March it was the best shelf in the building.
You never knew what it would know next.

::instruction::
### Q
Continue: The kettle had begun to speak, and

### A
The kettle had begun to speak, and I let it finish. It is rude to interrupt something that has only one thing
to say.

### Q
Give me a first line about rain.

### A
The rain came in without knocking and sat down on everything.

### Q
Make this plainer: "The vehicle was in a state of considerable disrepair."

### A
The car was falling to pieces, and it knew.

### Q
End a short piece about a closed shop.

### A
The sign still says that they will be back in ten minutes. I have decided to believe it.

### Q
Describe an old dog in two sentences.

### A
He climbs the stairs as if each one were an opinion. At the top he forgets the argument and sleeps.

### Q
What should I cut from a first draft?

### A
Cut the opening. It is nearly always you, clearing your throat.
