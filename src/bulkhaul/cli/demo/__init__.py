"""What only ``bulkhaul demo`` needs: its server, its objects, its stages."""
