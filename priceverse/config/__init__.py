"""Configuration: every key declared once (`settings`), layered, validated and explained (`load`)."""
