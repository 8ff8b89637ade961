"""What a box decides by itself, with or without a campus: the door that was forced or stands open for too long."""
