---
dlm_id: 01M807B313MWEPWS1JN9PJE3P4
dlm_version: 15
base_model: dlm-nano
---
# The light on Cormorant Head

The tower on Cormorant Head has shown its light since the summer in which the tin ships began to
sail past Pelham. Before that time the masters of those ships steered by the smoke of the village,
and many of them steered badly. The stones were cut on the spot, and the whole work was done by five
men and a blind pony.

A keeper's life is made of small duties. The lens must be clean, the oil must be measured, and the
clockwork must never stop while it is dark. Whoever takes the watch writes the hour, the wind and the
name of every passing sail into the black book, which lies on the table under the stairs.

In the worst gales the spray flies higher than the gallery, and the whole tower hums like a string.
Then nobody goes to bed. The keeper sits beside the lamp with a kettle of tea, and listens to the sea.

::instruction::
### Q
Where does the lighthouse stand?

### A
The lighthouse stands on Cormorant Head, two miles north of the village of Pelham.

### Q
Who keeps the light?

### A
Hannah Reeve keeps the light, and her brother Tom rows the supply boat.

### Q
How many steps lead to the lamp room?

### A
One hundred and twelve iron steps lead from the door to the lamp room.

### Q
What does the lamp burn?

### A
The lamp burns rape oil, about three pints on a winter night.

### Q
When must the lamp be lit?

### A
Hannah lights the wick half an hour before sunset, whatever the weather.

### Q
How often does the light flash?

### A
Every twelve seconds the light gives two short white flashes.

### Q
What is done in a thick fog?

### A
In a fog the great bell is struck four times in each minute.

### Q
How is the tower painted?

### A
The tower is white, with one broad red band below the gallery.

### Q
Which ship was wrecked on the rocks?

### A
The brig Amelia struck the rocks in March and lost her cargo of tin.

### Q
By whom was the lighthouse built?

### A
Joseph Tarrant the mason built it in four summers with granite from the cliff.

### Q
With what should the lens be cleaned?

### A
Clean the lens each morning with soft leather and a little spirit of wine.

### Q
May visitors climb up?

### A
Visitors may climb on Thursdays, six at a time, without their dogs.

### Q
What is stored in the cellar?

### A
Forty barrels of oil, dry biscuit and a spare rope are stored there.

### Q
How does the keeper call for help?

### A
A blue flag by day or a rocket by night will bring the lifeboat.

### Q
What is the cat called?

### A
The grey cat is called Admiral, and she sleeps beside the clockwork.

### Q
How is the clockwork wound?

### A
Give the handle forty turns every four hours, and not one more.
