"""The page at `/`: static files, served by `priceverse.api`. No framework, no build, nothing from another host."""
