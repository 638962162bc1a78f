"""What authors of plugins test with: small images of every kind, plain writers of media, the transport contract."""
