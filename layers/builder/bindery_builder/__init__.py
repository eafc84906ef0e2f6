"""Build side of Bindery: fetches repositories and builds environments and images from them."""
