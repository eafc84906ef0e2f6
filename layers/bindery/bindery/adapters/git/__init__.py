"""Git's protocol, packs and trees, without a git command."""
