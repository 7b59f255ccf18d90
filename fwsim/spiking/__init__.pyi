from .single_synapse import respond as respond
