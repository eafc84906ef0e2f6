"""Everything that can go wrong with a launch, each a fact with its own type.

`Retryable` facts may pass by themselves: the step is tried again a few times. `Permanent` ones end the launch.
The sentences people read are in `bindery.web.errors`, one table; here are only the facts that fill them.
Import them from here, whichever file they stand in.
"""

# Launches that failed are stored with the class's name: renaming one loses their sentence.

from bindery.domain.errors.asked import *
from bindery.domain.errors.kinds import *
from bindery.domain.errors.on_the_way import *
