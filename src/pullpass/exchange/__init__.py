"""What Pullpass asks of registries and of the services behind them, over the network."""
